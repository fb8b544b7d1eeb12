"""An LSL stream of markers beside one of samples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ringdaq.errors import BadRequestError, NotConnectedError, StreamError
from ringdaq.pipeline.sources.sender_clock import SenderClock


class Markers:
    """When something was marked, and the number that was sent, 0 where it is none."""

    def __init__(self, lsl: Any, stream: str, timeout_secs: float) -> None:
        """Find the stream by its name and connect; refuses one of more than one channel."""
        found = lsl.resolve_streams(timeout=timeout_secs, name=stream)
        if len(found) != 1:
            raise NotConnectedError(
                f"one LSL stream of markers {stream!r} was expected; found {len(found)} within "
                f"{timeout_secs:g} s"
            )
        if found[0].n_channels != 1:
            raise BadRequestError(
                f"a stream of markers has one channel; {stream!r} has {found[0].n_channels}"
            )
        self._stream, self._inlet = stream, lsl.StreamInlet(found[0])
        try:
            self._inlet.open_stream(timeout=timeout_secs)
            self._clock = SenderClock(self._inlet, timeout_secs)
        except TimeoutError as error:
            raise NotConnectedError(
                f"the LSL stream of markers {stream!r} was found and does not answer within "
                f"{timeout_secs:g} s"
            ) from error

    def take(self) -> Iterator[tuple[int, float]]:
        """What has come since the last call: ns since the epoch, and the value."""
        try:
            block, stamps = self._inlet.pull_chunk(0.0)
        except RuntimeError as error:
            raise StreamError(f"the LSL stream of markers {self._stream!r} is lost") from error
        for row, nanos in zip(block, self._clock.nanos(stamps), strict=True):
            yield int(nanos), _number(row[0])

    def close(self) -> None:
        """Disconnect."""
        self._inlet.close_stream()


def _number(value: Any) -> float:
    with contextlib.suppress(ValueError):
        return float(value)
    return 0.0
