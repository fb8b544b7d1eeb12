"""What subscribers may ask for: single values by channel or stream, or one stream whole."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from ringdaq.errors import BadRequestError, UnknownStreamError
from ringdaq.model import Channel, StreamSpec

# Streams of runs come and go, so a run's stream may be asked for before it has its first row.
RUN_PREFIX = "run."


def run_of(name: str) -> str | None:
    """The run that a stream, or a channel of one, belongs to."""
    return name.split(".")[1] if name.startswith(RUN_PREFIX) else None


class ChannelFilter:
    """Which channels a subscriber wants: `stream.channel`, `stream`, or nothing for all."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._streams = frozenset(part for name in self._names for part in _beginnings(name))
        runs = {run_of(name) for name in self._names}
        self.runs = frozenset(run for run in runs if run is not None)
        """The runs of which anything is named."""
        self.ends = bool(runs) and None not in runs
        """Whether nothing else is named, so that it ends with them."""

    def names(self, stream: str) -> bool:
        """Whether a channel of a stream of this name may be wanted."""
        return not self._names or stream in self._streams

    def wants(self, spec: StreamSpec) -> bool:
        """Whether any channel of the stream is wanted."""
        return bool(self.channels(spec))

    def channels(self, spec: StreamSpec) -> list[Channel]:
        """The stream's wanted channels of single values."""
        if not self._names:
            return [c for c in spec.channels if not c.shape] if spec.kind == "rows" else []
        return [c for c in spec.channels if not c.shape and self._names_it(spec.name, c.name)]

    def _names_it(self, stream: str, channel: str) -> bool:
        return stream in self._names or f"{stream}.{channel}" in self._names

    def check(self, specs: Iterable[StreamSpec], streams: Collection[str]) -> None:
        """Raise `UnknownStreamError` or `BadRequestError` for a name that will never send."""
        known = list(specs)
        for name in sorted(self._names):
            if not name.startswith(RUN_PREFIX):
                _check_name(name, known, streams)


def _beginnings(name: str) -> Iterable[str]:
    """What may be the stream's part of a name: both parts may have dots."""
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _check_name(name: str, specs: list[StreamSpec], streams: Collection[str]) -> None:
    for spec in specs:
        found = [c for c in spec.channels if name in (spec.name, f"{spec.name}.{c.name}")]
        if any(not c.shape for c in found):
            return
        if found:
            raise BadRequestError(
                f"{name!r} has images, not single values; use StreamBatches for the stream"
            )
    raise _unknown_stream(name, streams)


class StreamWish:
    """One stream, by its name."""

    def __init__(self, stream: str) -> None:
        self._stream = stream
        run = run_of(stream)
        self.runs = frozenset[str]() if run is None else frozenset({run})
        """The run whose stream it is."""
        self.ends = run is not None
        """Whether it ends with a run."""

    def names(self, stream: str) -> bool:
        """Whether it is this stream."""
        return stream == self._stream

    def wants(self, spec: StreamSpec) -> bool:
        """Whether it is this stream."""
        return spec.name == self._stream

    def check(self, specs: Iterable[StreamSpec], streams: Collection[str]) -> None:
        """Raise `UnknownStreamError` for a stream that is not there and is no run's own."""
        if not self._stream.startswith(RUN_PREFIX) and not any(map(self.wants, specs)):
            raise _unknown_stream(self._stream, streams)


def _unknown_stream(name: str, streams: Collection[str]) -> UnknownStreamError:
    known = ", ".join(sorted(streams)) or "none"
    return UnknownStreamError(
        f"no stream or channel is called {name!r}; the streams are: {known}", stream=name
    )
