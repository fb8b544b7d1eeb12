"""A recording, played as if it were measured now: the driver `replay.recording`.

It lies here, not with the other drivers, because only this room reads recordings. Values come back
as they were stored, in the records' order; times are moved to now, and stretched by the speed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.config import FilePath, Section
from ringdaq.errors import InstrumentError, NotConnectedError, RecordingError
from ringdaq.instruments import Driver, Site
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.sinks import Sink
from ringdaq.instruments.timing import MonotonicTimer, Timer
from ringdaq.model import SAMPLES, StreamSpec
from ringdaq.recorder.readback import Array, RecordedFile, RecordedStream

BLOCK_ROWS = 4096
MIN_SPEED = 0.001
MAX_SPEED = 1000.0
# So small that a time's rest, times it, stays far below 2**63.
MAX_DENOMINATOR = 10**6


class ReplayOptions(Section):
    """Options of `replay.recording`."""

    file: FilePath
    """The recording; a relative path begins at the folder of the file that names it."""
    speed: Annotated[float, Field(ge=MIN_SPEED, le=MAX_SPEED)] = 1.0
    """How many times faster than it was recorded, 0.001 to 1000."""
    loop: bool = False
    """Begin again at the end; otherwise the streams fall silent there."""
    streams: list[str] = Field(default_factory=list)
    """Only these; empty: all."""
    prefix: str = ""
    """Put before the streams' names."""
    block_secs: Annotated[float, Field(gt=0, le=10)] = 0.025
    """How much is played at once."""


@dataclass(slots=True)
class _Track:
    stream: RecordedStream
    sink: Sink
    row: int = 0


def as_ratio(speed: float) -> Fraction:
    """A speed as the ratio that is played: six digits behind the point, or a third, are exact."""
    return Fraction(str(speed)).limit_denominator(MAX_DENOMINATOR)


def stretched(since: Array, speed: Fraction) -> Array:
    """Nanoseconds at a speed, rounded down; whole and rest apart, so that none leaves int64."""
    whole, rest = np.divmod(since, speed.numerator)
    times: Array = whole * speed.denominator + rest * speed.denominator // speed.numerator
    return times


class RecordingReplay:
    """SampleProducer; what was simulated stays so, and every stream says what it replays."""

    def __init__(
        self, name: str, options: ReplayOptions, file: RecordedFile, timer: Timer | None = None
    ) -> None:
        self.name = name
        self._options = options
        self._file = file
        self._timer = timer or MonotonicTimer()
        self._speed = as_ratio(options.speed)
        self._streams = _chosen(file, options.streams)
        self._recorded_nanos = min(int(s.times(0, 1)[0]) for s in self._streams)

    def stream_specs(self) -> list[StreamSpec]:
        return [self._spec(stream) for stream in self._streams]

    def _spec(self, stream: RecordedStream) -> StreamSpec:
        spec = stream.spec
        return replace(
            spec,
            name=self._options.prefix + spec.name,
            sample_rate=None if spec.sample_rate is None else spec.sample_rate * self._speed,
            instrument=self.name,
            metadata={
                **spec.metadata,
                "replayed": "true",
                "replay_of": self._options.file.name,
                "replay_speed": str(self._speed),
                "replay_loop": str(self._options.loop).lower(),
                "recorded_instrument": spec.instrument,
            },
        )

    def run(self, sinks: Mapping[str, Sink], stop: threading.Event) -> None:
        start, begun, elapsed = self._timer.now(), now_nanos(), 0
        step = round(self._options.block_secs * NANOS_PER_SEC)
        while not stop.is_set():
            pass_began, tracks = elapsed, self._tracks(sinks)
            while any(track.row < track.stream.rows for track in tracks):
                elapsed += step
                until = start + elapsed / NANOS_PER_SEC
                if self._timer.wait_until_set(stop, until - self._timer.now()):
                    return
                for track in tracks:
                    self._advance(track, begun + pass_began, elapsed - pass_began)
            if not self._options.loop:
                return

    def _tracks(self, sinks: Mapping[str, Sink]) -> list[_Track]:
        return [_Track(s, sinks[self._options.prefix + s.spec.name]) for s in self._streams]

    def _advance(self, track: _Track, begun: int, elapsed: int) -> None:
        """Write the rows whose time has come, with times that count from `begun`."""
        speed = self._speed
        end = track.stream.find(self._recorded_nanos + int(elapsed * speed) + 1)
        while track.row < end:
            last = min(end, track.row + BLOCK_ROWS)
            since = track.stream.times(track.row, last) - self._recorded_nanos
            times = begun + stretched(since, speed)
            WRITERS[track.stream.spec.kind](track, times, last)
            track.row = last

    def settings(self) -> Settings:
        return {
            "file": {"value": self._options.file.name, "unit": ""},
            "speed": {"value": self._options.speed, "unit": ""},
            "loop": {"value": self._options.loop, "unit": ""},
        }

    def configure(self, **knobs: Any) -> None:
        check_knobs(self.name, knobs, ())

    def make_safe(self) -> None:
        """Nothing to do: it only plays."""

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _write_samples(track: _Track, times: Array, last: int) -> None:
    """Blocks between gaps, each with its own first time."""
    block = track.stream.values(SAMPLES, track.row, last)
    steps = np.diff(track.stream.times(track.row, last))
    usual = 1e9 / float(track.stream.spec.sample_rate or 1)
    cuts = [0, *(np.flatnonzero(steps > 1.5 * usual) + 1).tolist(), len(block)]
    for first, end in pairwise(cuts):
        track.sink.write_block(int(times[first]), np.ascontiguousarray(block[first:end]))


def _write_rows(track: _Track, times: Array, last: int) -> None:
    columns: dict[str, Any] = {}
    for channel in track.stream.spec.channels:
        values = track.stream.values(channel.name, track.row, last)
        missing = track.stream.missing(channel.name, track.row, last)
        columns[channel.name] = _with_gaps(values, missing)
    track.sink.write_rows(times, columns)


def _with_gaps(values: Array, missing: Array | None) -> Any:
    if missing is None:
        return values.tolist() if values.dtype == object else values
    held = [None if gone else value for value, gone in zip(values, missing, strict=True)]
    return held if values.dtype == object else np.ma.masked_array(values, missing)


def _write_frames(track: _Track, times: Array, last: int) -> None:
    for place, row in enumerate(range(track.row, last)):
        values = [track.stream.values(c.name, row, row + 1)[0] for c in track.stream.spec.channels]
        track.sink.write_frame(int(times[place]), *values)


WRITERS = {"samples": _write_samples, "rows": _write_rows, "frames": _write_frames}


def _chosen(file: RecordedFile, names: list[str]) -> list[RecordedStream]:
    """The streams to play; a second group of one stream, of other columns, stays away."""
    found: dict[str, RecordedStream] = {}
    for stream in file.streams.values():
        name = stream.spec.name
        if stream.rows and (name in names or (not names and not name.startswith("run."))):
            found.setdefault(name, stream)
    if absent := [name for name in names if name not in found]:
        raise InstrumentError(
            f"the recording has no rows of a stream {absent[0]!r}; "
            f"it has: {', '.join(sorted(s.spec.name for s in file.streams.values()))}: {file.path}"
        )
    if not found:
        raise InstrumentError(f"a recording needs rows to be played; it has none: {file.path}")
    return list(found.values())


def _open(path: Path) -> RecordedFile:
    try:
        return RecordedFile(path)
    except RecordingError as error:
        raise NotConnectedError(str(error)) from error


def _build(site: Site, options: ReplayOptions) -> RecordingReplay:
    file = _open(site.resolve(options.file))
    return RecordingReplay(site.name, options, file, site.timer)


# Whether values are made up was recorded with each stream.
DRIVER = Driver(RecordingReplay, ReplayOptions, _build, made_up=None)
