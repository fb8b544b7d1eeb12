"""LSL by mne-lsl: a message is a chunk of int64 samples of 8 channels; on this machine only."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from place import Place

PACKAGE = "mne-lsl"
CHANNELS = 8
MOST = {64: 5000, 51_200: 200}
"""LSL drops nothing only while its buffer has room."""


def _library() -> Any:
    path = Path(tempfile.gettempdir()) / f"ringdaq-bench-lsl-{os.getuid()}.cfg"
    path.write_text(
        "[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n[log]\nlevel = -2\n"
    )
    os.environ["LSLAPICFG"] = str(path)
    from mne_lsl import lsl, set_log_level

    set_log_level("ERROR")
    return lsl


def _name(address: str) -> str:
    return f"ringdaq-{Path(address).name}"


class _Publisher:
    def __init__(self, address: str, size: int) -> None:
        if size not in MOST:
            raise ValueError("not meant for messages of this size")
        lsl = _library()
        name = _name(address)
        info = lsl.StreamInfo(name, "bench", CHANNELS, 0, "int64", name)
        self._outlet = lsl.StreamOutlet(info, max_buffered=2000)

    def send(self, array: Any) -> None:
        self._outlet.push_chunk(array.view("int64").reshape(-1, CHANNELS))

    def close(self) -> None:
        del self._outlet


class _Subscriber:
    def __init__(self, address: str, size: int) -> None:
        lsl = _library()
        found = lsl.resolve_streams(timeout=10, name=_name(address))
        self._rows = size // 8 // CHANNELS
        self._inlet = lsl.StreamInlet(found[0], max_buffered=2000)
        self._inlet.open_stream(timeout=10)

    def receive(self) -> Any:
        found, _ = self._inlet.pull_chunk(timeout=1.0, max_samples=self._rows)
        return found.ravel() if len(found) == self._rows else None

    def close(self) -> None:
        self._inlet.close_stream()


def publisher(place: Place) -> _Publisher:
    """An outlet."""
    return _Publisher(place.address, place.size)


def subscriber(place: Place) -> _Subscriber:
    """An inlet."""
    return _Subscriber(place.address, place.size)
