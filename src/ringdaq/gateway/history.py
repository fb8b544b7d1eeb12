"""One line of what a stream held: from its rings, and where they hold nothing, from files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.errors import BadRequestError, UnknownStreamError
from ringdaq.gateway.history_files import FoundRows, RecordedFiles, Stretch
from ringdaq.gateway.history_parts import exact_part, folded_part
from ringdaq.history import History, HistoryGap, HistoryPart
from ringdaq.model import StreamSpec
from ringdaq.recorder.catalogue import Catalogue
from ringdaq.recorder.readback import RecordedStream
from ringdaq.streams import RingDirectory
from ringdaq.streams.history import RingHistories, SourceHistory
from ringdaq.streams.history_source import Hole

MAX_EXACT_BYTES = 256 << 20
MAX_POINTS = 1_000_000
LEAST_POINTS = 4
_NEVER = (1 << 63) - 1


@dataclass(slots=True)
class Segment:
    """Rows of one source that belong to the answer."""

    kind: str
    history: SourceHistory
    first_row: int
    end_row: int
    first_nanos: int
    last_nanos: int
    reaches_nanos: int
    """Up to when this source is known to hold everything."""
    lost_before: bool = False
    """Whether the stream had rows before, in this source, that were gone when it was asked."""
    gaps: list[HistoryGap] = field(default_factory=list)
    joined: bool = False
    """Whether nothing can lie between the segment before and this one."""
    began_nanos: int = 0
    """The time of the first row when it was looked for; a ring may lose it until it is read."""
    overwritten: int = 0
    """How many rows were lost in between."""
    alike: int = 1
    """How many rows, from the first one on, have its time."""
    part: HistoryPart | None = None
    holes: list[Hole] = field(default_factory=list)

    @property
    def rows(self) -> int:
        return self.end_row - self.first_row

    @property
    def oldest(self) -> bool:
        """Whether nothing before the first row is left in this source."""
        return self.lost_before or self.overwritten > 0 or self.first_row == 0

    def rows_since(self, nanos: int) -> int:
        """The rows from a time on."""
        return max(0, self.end_row - max(self.first_row, self.history.source.find(nanos)))

    def read(self, bin_rows: int | None, channels: Sequence[str]) -> None:
        """Read the rows, folded into bins of so many, or as they are."""
        spec = self.history.spec
        if bin_rows is None:
            rows = self.history.rows(self.first_row, self.end_row)
            self.part, self.holes = exact_part(self.kind, rows, spec, channels)
            self._begin(rows.first_row if len(rows.times) else self.end_row, rows.alike)
            return
        fold, holes = self.history.fold(self.first_row, self.end_row, bin_rows)
        self.part, self.holes = folded_part(self.kind, fold, holes, spec, channels)
        self._begin(int(fold.first_row[0]) if len(fold) else self.end_row, fold.alike)

    def _begin(self, row: int, alike: int) -> None:
        """Take in where the rows that came really begin."""
        assert self.part is not None
        self.began_nanos = self.first_nanos
        self.overwritten, self.first_row = row - self.first_row, row
        times = self.part.first_nanos
        self.first_nanos, self.alike = (
            (int(times[0]), alike) if len(times) else (self.last_nanos, 0)
        )


class HistoryDesk:
    """Answers queries; any thread may ask. Writes nothing, and asks no instrument."""

    def __init__(self, rings: Path, open_catalogue: Callable[[], Catalogue | None]) -> None:
        self._directory = RingDirectory(rings)
        self._rings = RingHistories(rings)
        self._open_catalogue = open_catalogue
        self._files: RecordedFiles | None = None
        self._lock = threading.Lock()

    def query(
        self,
        stream: str,
        since_nanos: int | None = None,
        until_nanos: int | None = None,
        *,
        max_points: int | None = None,
        channels: Sequence[str] = (),
        given_up: Callable[[], bool] = lambda: False,
    ) -> History:
        """What a stream held from one time up to and including another.

        Without `max_points` every row; with it at most so many points a channel, two for each bin
        of rows. Raises `UnknownStreamError`, and `BadRequestError` for what makes no sense.
        `given_up` is asked between files and between rings; raises `CancelledError` then.
        """
        since = 0 if since_nanos is None else _bounded(since_nanos)
        until = now_nanos() if until_nanos is None else _bounded(until_nanos)
        _check(since, until, max_points)
        with self._lock, ExitStack() as stack:
            look = _Look(stack, self._recorded(), stream, since, until, given_up)
            segments, spec = self._read(look, max_points, channels)
            parts = [s.part for s in segments if s.part is not None and s.rows]
            return History(spec, parts, _gaps(segments, since, until, spec))

    def close(self) -> None:
        """Let go of files and database."""
        with self._lock:
            if self._files is not None:
                self._files.close()
            self._files = None

    def _recorded(self) -> RecordedFiles | None:
        if self._files is None:
            catalogue = self._open_catalogue()
            self._files = None if catalogue is None else RecordedFiles(catalogue)
        return self._files

    def _read(
        self, look: _Look, max_points: int | None, channels: Sequence[str]
    ) -> tuple[list[Segment], StreamSpec]:
        """Everything that belongs to the answer: first the rings, which are overwritten meanwhile.

        What they lose until then is looked for in files, as what they had lost before.
        """
        histories = self._rings.of(look.stream)
        rings = [s for h in histories if (s := _ring_segment(h, look.since, look.until))]
        planned = [] if rings and max_points is None else look.files(rings)
        spec = histories[-1].spec if histories else self._spec_on_disk(look, planned)
        _check_channels(spec, channels)
        bin_rows = _bin_rows([*rings, *planned], max_points, spec)
        look.read(rings, bin_rows, channels)
        files = look.files(rings) if rings else planned
        if bin_rows is None:
            _check_size(sum(s.rows for s in (*rings, *files)), spec)
        look.read(files, bin_rows, channels)
        return sorted([*files, *rings], key=lambda s: s.first_nanos), spec

    def _spec_on_disk(self, look: _Look, planned: list[Segment]) -> StreamSpec:
        spec = planned[-1].history.spec if planned else look.spec()
        if spec is not None:
            return spec
        known = ", ".join(self._directory.streams()) or "none"
        raise UnknownStreamError(
            f"no ring and no recorded file holds a stream {look.stream!r}; the rings are: {known}",
            stream=look.stream,
        )


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked for, and the files that are open for it."""

    stack: ExitStack
    recorded: RecordedFiles | None
    stream: str
    since: int
    until: int
    given_up: Callable[[], bool]

    def files(self, rings: list[Segment]) -> list[Segment]:
        """Rows out of files, each once, where the rings hold nothing."""
        found = []
        for stretch in _uncovered(rings, self.since, self.until) if self.recorded else ():
            if stretch.since_nanos <= stretch.until_nanos:
                found += [_file_segment(rows) for rows in self._recorded_rows(stretch)]
        return found

    def _recorded_rows(self, stretch: Stretch) -> Iterator[FoundRows]:
        assert self.recorded is not None
        for rows in self.recorded.rows(self.stack, self.stream, stretch):
            self._check_wanted()
            yield rows

    def read(self, segments: list[Segment], bin_rows: int | None, channels: Sequence[str]) -> None:
        """Read rows, folded into bins of so many, or as they are."""
        for segment in segments:
            self._check_wanted()
            segment.read(bin_rows, channels)

    def _check_wanted(self) -> None:
        """Raise `CancelledError` if nobody waits for the answer any more."""
        if self.given_up():
            raise CancelledError(f"the query of stream {self.stream!r} was given up")

    def spec(self) -> StreamSpec | None:
        """What the stream carries, as the newest file with it says."""
        recorded = self.recorded
        for span in reversed(recorded.spans(self.stream, 0, _NEVER) if recorded else []):
            opened = self.stack.enter_context(recorded.open(span)) if recorded else None
            for _, history in opened.of(self.stream) if opened is not None else ():
                return history.spec
        return None


def _bounded(nanos: int) -> int:
    """The next moment that has a time; none that is wanted lies beyond."""
    return min(max(nanos, -_NEVER), _NEVER)


def _check(since: int, until: int, max_points: int | None) -> None:
    if since > until:
        raise BadRequestError(
            f"the first moment wanted must not be after the last; found {since} and {until} ns"
        )
    if max_points is not None and not LEAST_POINTS <= max_points <= MAX_POINTS:
        raise BadRequestError(
            f"max_points must be {LEAST_POINTS} to {MAX_POINTS}; found {max_points}"
        )


def _check_channels(spec: StreamSpec, channels: Sequence[str]) -> None:
    known = [channel.name for channel in spec.channels]
    if unknown := [name for name in channels if name not in known]:
        raise BadRequestError(
            f"stream {spec.name!r} has no channel {unknown[0]!r}; it has: {', '.join(known)}"
        )


def _ring_segment(history: SourceHistory, since: int, until: int) -> Segment | None:
    alive = history.source.reader.writer_alive  # type: ignore[attr-defined]
    at = history.place(since, until)
    if at is None:
        return None
    reaches = _NEVER if alive else at.last_nanos
    times = at.first_nanos, at.last_nanos, reaches
    lost = at.oldest and at.first_row > 0
    return Segment("ring", history, at.first_row, at.end_row, *times, lost_before=lost)


def _file_segment(found: FoundRows) -> Segment:
    history = found.history
    first, end = found.first_row, found.end_row
    times = history.time_of(first), history.time_of(end - 1)
    reaches = history.time_of(found.stream.rows - 1)
    segment = Segment("file", history, first, end, *times, reaches)
    gaps = [gap for gap in found.file.gaps if gap["stream"] == found.stream.spec.name]
    segment.gaps = _recorded_gaps(gaps, found.stream, segment)
    segment.joined = found.joined and all(gap["row"] != first for gap in gaps)
    return segment


def _uncovered(rings: list[Segment], since: int, until: int) -> Iterator[Stretch]:
    """The stretches of time that no ring covers."""
    at = since
    for ring in rings:
        if ring.oldest:
            yield _before(ring, at)
        at = max(at, ring.last_nanos + 1)
    if not rings or rings[-1].reaches_nanos < _NEVER:
        yield Stretch(at, until)


def _before(ring: Segment, since: int) -> Stretch:
    """Up to a ring, whose oldest row may lie in the middle of rows of one time."""
    if ring.first_row == 0:
        return Stretch(since, ring.first_nanos - 1)
    return Stretch(since, ring.first_nanos, ring.alike)


def _recorded_gaps(
    table: list[dict[str, Any]], held: RecordedStream, segment: Segment
) -> list[HistoryGap]:
    """What the recorder lost inside a segment of a file."""
    inside = range(segment.first_row + 1, segment.end_row)
    return [
        HistoryGap(
            int(held.times(gap["row"] - 1, gap["row"])[0]),
            int(held.times(gap["row"], gap["row"] + 1)[0]),
            int(gap["rows"]),
            f"lost before it was recorded: {gap['reason']}",
        )
        for gap in table
        if gap["row"] in inside
    ]


# --- the rows


def _bin_rows(segments: list[Segment], max_points: int | None, spec: StreamSpec) -> int | None:
    """Rows a bin, or `None` where all rows may come as they are."""
    total = sum(segment.rows for segment in segments)
    if max_points is None or total <= max_points:
        _check_size(total, spec)
        return None
    # What a ring loses until it is read may come out of one more file.
    more = any(segment.kind == "ring" and segment.oldest for segment in segments)
    return bin_rows_for(total, max_points // 2, len(segments) + more)


def bin_rows_for(rows: int, bins: int, segments: int) -> int:
    """Rows a bin, so that no more bins come; large ones are multiples of what is folded already."""
    # Each segment may begin and end with a part of a bin.
    least = -(-rows // max(1, bins - 2 * segments))
    unit = 1 if least < 64 else 64 if least < 4096 else 1024 if least < 65_536 else 16_384
    return -(-least // unit) * unit


def _check_size(rows: int, spec: StreamSpec) -> None:
    row_bytes = 8 + sum(
        8 if c.dtype in ("string", "bool") else np.dtype(c.dtype).itemsize * int(np.prod(c.shape))
        for c in spec.channels
    )
    if rows * row_bytes > MAX_EXACT_BYTES:
        raise BadRequestError(
            f"{rows} rows of stream {spec.name!r} are {rows * row_bytes} bytes; as they are, up to "
            f"{MAX_EXACT_BYTES} bytes can be had at once: give max_points, or a shorter time"
        )


# --- the gaps


def _gaps(segments: list[Segment], since: int, until: int, spec: StreamSpec) -> list[HistoryGap]:
    found = [gap for segment in segments for gap in segment.gaps]
    told = {(gap.first_nanos, gap.last_nanos) for gap in found}
    found += [
        HistoryGap(h.first_nanos, h.last_nanos, h.rows, h.reason)
        for segment in segments
        for h in segment.holes
        if (h.first_nanos, h.last_nanos) not in told
    ]
    for before, after in pairwise(segments):
        found += _between(before, after, spec)
    found += _overwritten(segments)
    return sorted([*found, *_at_the_ends(segments, since, until)], key=lambda g: g.first_nanos)


def _overwritten(segments: list[Segment]) -> Iterator[HistoryGap]:
    """What a ring lost before it was read, and no file holds."""
    for place, ring in enumerate(segments):
        files = [s for s in segments[:place] if s.kind == "file"]
        rows = ring.overwritten
        if rows and (rows := rows - sum(s.rows_since(ring.began_nanos) for s in files)) > 0:
            first = max([ring.began_nanos, *(s.last_nanos for s in files)])
            yield HistoryGap(first, ring.first_nanos, rows, "not recorded")


def _between(before: Segment, after: Segment, spec: StreamSpec) -> Iterator[HistoryGap]:
    """What lies between two sources, unless the one leads into the other."""
    if after.joined or before.reaches_nanos >= after.began_nanos:
        return
    rows = None
    if spec.sample_rate is not None:
        late = (after.began_nanos - before.last_nanos) * spec.sample_rate / NANOS_PER_SEC
        if late < 2:
            return
        rows = round(float(late)) - 1
    reason = "not recorded" if after.lost_before else "writer ended"
    yield HistoryGap(before.last_nanos, after.began_nanos, rows, reason)


def _at_the_ends(segments: list[Segment], since: int, until: int) -> Iterator[HistoryGap]:
    if not segments:
        yield HistoryGap(since, until, None, "nothing is held")
        return
    first, last = segments[0], segments[-1]
    if first.lost_before and since < first.began_nanos and since > 0:
        yield HistoryGap(since, first.began_nanos, None, "not recorded")
    if last.reaches_nanos < until:
        reason = "writer ended" if last.kind == "ring" else "not recorded"
        yield HistoryGap(last.last_nanos, until, None, reason)
