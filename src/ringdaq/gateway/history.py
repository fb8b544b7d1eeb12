"""One line of what a stream held: from its rings, and where they hold nothing, from files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.errors import BadRequestError, UnknownStreamError
from ringdaq.gateway.history_files import RecordedFiles
from ringdaq.gateway.history_parts import exact_part, folded_part
from ringdaq.history import History, HistoryGap, HistoryPart
from ringdaq.model import StreamSpec
from ringdaq.recorder.catalogue import Catalogue
from ringdaq.streams import RingDirectory
from ringdaq.streams.history import RingHistories, SourceHistory
from ringdaq.streams.history_source import Hole

MAX_EXACT_BYTES = 256 << 20
MAX_POINTS = 1_000_000
LEAST_POINTS = 4
_NEVER = 1 << 62


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
    lost_before: bool
    """Whether the stream had rows before the first one, in this source, that are gone."""
    gaps: list[HistoryGap]

    @property
    def rows(self) -> int:
        return self.end_row - self.first_row


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
    ) -> History:
        """What a stream held from one time up to and including another.

        Without `max_points` every row; with it at most so many points a channel, two for each bin
        of rows. Raises `UnknownStreamError`, and `BadRequestError` for what makes no sense.
        """
        since = 0 if since_nanos is None else since_nanos
        until = now_nanos() if until_nanos is None else until_nanos
        _check(since, until, max_points)
        with self._lock, ExitStack() as stack:
            segments, spec = self._segments(stack, stream, since, until)
            _check_channels(spec, channels)
            parts = _read(segments, max_points, channels, spec)
            found = [part for part, _ in parts]
            return History(spec, found, _gaps(segments, parts, since, until, spec))

    def close(self) -> None:
        """Let go of files and database."""
        with self._lock:
            if self._files is not None:
                self._files.close()
            self._files = None

    # --- where the rows are

    def _segments(
        self, stack: ExitStack, stream: str, since: int, until: int
    ) -> tuple[list[Segment], StreamSpec]:
        histories = self._rings.of(stream)
        rings = [s for one in histories if (s := _ring_segment(one, since, until)) is not None]
        files: list[Segment] = []
        for start, stop in _uncovered(rings, since, until):
            files += self._from_files(stack, stream, start, stop)
        spec = histories[-1].spec if histories else files[-1].history.spec if files else None
        if spec is None:
            spec = self._spec_on_disk(stack, stream)
        return sorted([*rings, *files], key=lambda s: s.first_nanos), spec

    def _recorded(self) -> RecordedFiles | None:
        if self._files is None:
            catalogue = self._open_catalogue()
            self._files = None if catalogue is None else RecordedFiles(catalogue)
        return self._files

    def _from_files(
        self, stack: ExitStack, stream: str, since: int, until: int
    ) -> Iterator[Segment]:
        """Rows between two times out of files, each row once."""
        recorded = self._recorded()
        if recorded is None or since > until:
            return
        at = since
        for span in recorded.spans(stream, since, until):
            opened = stack.enter_context(recorded.open(span))
            for held, history in opened.of(stream) if opened is not None else ():
                segment = _file_segment(history, at, until)
                if opened is not None and segment is not None:
                    segment.gaps = _recorded_gaps(opened.gaps, held, segment)
                    at = segment.last_nanos + 1
                    yield segment

    def _spec_on_disk(self, stack: ExitStack, stream: str) -> StreamSpec:
        recorded = self._recorded()
        for span in reversed(recorded.spans(stream, 0, _NEVER) if recorded else []):
            opened = stack.enter_context(recorded.open(span)) if recorded else None
            for _, history in opened.of(stream) if opened is not None else ():
                return history.spec
        known = ", ".join(self._directory.streams()) or "none"
        raise UnknownStreamError(
            f"no ring and no recorded file holds a stream {stream!r}; the rings are: {known}",
            stream=stream,
        )


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
    reaches = _NEVER if history.source.reader.writer_alive else 0  # type: ignore[attr-defined]
    return _segment("ring", history, since, until, reaches)


def _file_segment(history: SourceHistory, since: int, until: int) -> Segment | None:
    last = history.source.held()[1]
    reaches = int(_time_of(history, last - 1)) if last else 0
    return _segment("file", history, since, until, reaches)


def _segment(
    kind: str, history: SourceHistory, since: int, until: int, reaches: int
) -> Segment | None:
    first, end = history.between(since, until)
    if end <= first:
        return None
    held = history.source.held()[0]
    times = _time_of(history, first), _time_of(history, end - 1)
    lost = first <= held and held > 0
    return Segment(kind, history, first, end, *times, max(reaches, times[1]), lost, [])


def _time_of(history: SourceHistory, row: int) -> int:
    piece = next(iter(history.source.pieces(row, row + 1, [])))
    return int(piece.times[0])


def _uncovered(segments: list[Segment], since: int, until: int) -> Iterator[tuple[int, int]]:
    """The stretches of time that no segment covers."""
    at = since
    for segment in segments:
        yield at, segment.first_nanos - 1
        at = max(at, segment.last_nanos + 1)
    if not segments or segments[-1].reaches_nanos < _NEVER:
        yield at, until


def _recorded_gaps(table: list[dict[str, Any]], held: Any, segment: Segment) -> list[HistoryGap]:
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
        if gap["stream"] == held.spec.name and gap["row"] in inside
    ]


# --- the rows


def _read(
    segments: list[Segment], max_points: int | None, channels: Sequence[str], spec: StreamSpec
) -> list[tuple[HistoryPart, list[Hole]]]:
    total = sum(segment.rows for segment in segments)
    if max_points is None or total <= max_points:
        _check_size(total, spec)
        return [exact_part(s.kind, s.history.rows(s.first_row, s.end_row), s.history.spec, channels)
                for s in segments]  # fmt: skip
    bin_rows = bin_rows_for(total, max_points // 2, len(segments))
    folds = [s.history.fold(s.first_row, s.end_row, bin_rows) for s in segments]
    return [
        folded_part(s.kind, fold, holes, s.history.spec, channels)
        for s, (fold, holes) in zip(segments, folds, strict=True)
    ]


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


def _gaps(
    segments: list[Segment],
    parts: list[tuple[HistoryPart, list[Hole]]],
    since: int,
    until: int,
    spec: StreamSpec,
) -> list[HistoryGap]:
    found = [gap for segment in segments for gap in segment.gaps]
    told = {(gap.first_nanos, gap.last_nanos) for gap in found}
    found += [
        HistoryGap(h.first_nanos, h.last_nanos, h.rows, h.reason)
        for _, holes in parts
        for h in holes
        if (h.first_nanos, h.last_nanos) not in told
    ]
    for before, after in pairwise(segments):
        found += _between(before, after, spec)
    return sorted([*found, *_at_the_ends(segments, since, until)], key=lambda g: g.first_nanos)


def _between(before: Segment, after: Segment, spec: StreamSpec) -> Iterator[HistoryGap]:
    """What lies between two sources, unless the one leads into the other."""
    if before.reaches_nanos >= after.first_nanos:
        return
    rows = None
    if spec.sample_rate is not None:
        late = (after.first_nanos - before.last_nanos) * spec.sample_rate / NANOS_PER_SEC
        if late < 2:
            return
        rows = round(float(late)) - 1
    reason = "not recorded" if after.lost_before else "writer ended"
    yield HistoryGap(before.last_nanos, after.first_nanos, rows, reason)


def _at_the_ends(segments: list[Segment], since: int, until: int) -> Iterator[HistoryGap]:
    if not segments:
        yield HistoryGap(since, until, None, "nothing is held")
        return
    first, last = segments[0], segments[-1]
    if first.lost_before and since < first.first_nanos and since > 0:
        yield HistoryGap(since, first.first_nanos, None, "not recorded")
    if last.reaches_nanos < until:
        reason = "writer ended" if last.kind == "ring" else "not recorded"
        yield HistoryGap(last.last_nanos, until, None, reason)
