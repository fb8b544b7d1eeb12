"""Rings of each kind that pass 2^32, 2^53 and 2^63, against a list of what was written."""

from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import ringdaq_core as core
from hypothesis import given, settings
from hypothesis import strategies as st

from ringdaq.errors import OverrunError, StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.layout import Layout

ROWS = StreamSpec("rows", "rows", (Channel("x", "float64"), Channel("s", "string")))
SAMPLES = StreamSpec(
    "samples", "samples", tuple(Channel(f"c{i}", "int16") for i in range(4)), Fraction(1000)
)
FRAMES = StreamSpec("frames", "frames", (Channel("image", "uint16", shape=(4, 6)),))
BORDERS = [2**32, 2**53, 2**63]
CAPACITY = 8192
BEGIN_NANOS = 1_700_000_000_000_000_000
MILLI = 1_000_000


def make(directory: Path, spec: StreamSpec, border: int) -> StreamWriter:
    """A ring that passes a border with its sixth record, and soon with its bytes and rows."""
    origin = (border - 5, border - CAPACITY, border - 17)
    path = Path(directory) / f"{spec.name}.00000001.ring"
    period = (1_000_000_000, 1000) if spec.kind == "samples" else (0, 0)
    schema = Layout.from_spec(spec).schema
    return StreamWriter(
        core.RingWriter.create(path, schema, CAPACITY, *period, origin=origin), spec, path
    )


def write(writer: StreamWriter, number: int, first_nanos: int, rows: int) -> int:
    """Write a record of rows a millisecond apart, and return the last one's time."""
    if writer.spec.kind == "frames":
        writer.write_frame(first_nanos, np.full((4, 6), number, np.uint16))
        return first_nanos
    if writer.spec.kind == "samples":
        writer.write_block(first_nanos, np.full((rows, 4), number, np.int16))
    else:
        times = [first_nanos + row * MILLI for row in range(rows)]
        writer.write_rows(times, {"x": [float(number)] * rows, "s": [str(number)] * rows})
    return first_nanos + (rows - 1) * MILLI


def value(record) -> int:
    """The number that a record was written with."""
    columns = record.columns()
    values = columns[{"rows": "x", "samples": "samples", "frames": "image"}[record.spec.kind]]
    assert (values == values.flat[0]).all()
    return int(values.flat[0])


class Written:
    """A ring, and the list that it is compared with."""

    def __init__(self, directory: Path, spec: StreamSpec, border: int) -> None:
        self.writer = make(directory, spec, border)
        self.reader = StreamReader.open(self.writer.path)
        self.first, self.first_row = border - 5, border - 17
        self.spans: list[tuple[int, int]] = []
        self.rows: list[int] = []

    def write(self, rows: int, pause: int) -> None:
        rows = 1 if self.writer.spec.kind == "frames" else rows
        first = (self.spans[-1][1] if self.spans else BEGIN_NANOS) + pause * MILLI
        last = write(self.writer, len(self.spans), first, rows)
        self.spans.append((first, last))
        self.rows.append(rows)

    def check(self) -> None:
        oldest = self.reader.statistics().oldest_sequence - self.first
        numbers = list(range(oldest, len(self.spans)))
        self.check_reads(numbers)
        self.check_loss(oldest)
        self.check_times(numbers)

    def check_reads(self, numbers: list[int]) -> None:
        rows_before = [0, *accumulate(self.rows)]
        assert [value(record) for record in self.reader.snapshot()] == numbers
        for number in numbers:
            sequence = self.first + number
            record = self.reader.read(sequence)
            assert (record.sequence, value(record)) == (sequence, number)
            assert record.first_row == self.first_row + rows_before[number]
            with self.reader.view(sequence) as seen:
                assert (seen.sequence, value(seen)) == (sequence, number)
                assert seen.first_row == record.first_row

    def check_loss(self, oldest: int) -> None:
        if oldest == 0:
            return
        with pytest.raises(OverrunError) as lost:
            self.reader.read(self.first)
        assert lost.value.lost_records == oldest
        assert lost.value.lost_rows == sum(self.rows[:oldest])
        assert lost.value.resume_at == self.first + oldest

    def check_times(self, numbers: list[int]) -> None:
        newest = self.spans[-1][1]
        for since in (self.spans[numbers[0]][0], (self.spans[numbers[0]][1] + newest) // 2, newest):
            wanted = [n for n in numbers if self.spans[n][1] >= since]
            assert self.reader.find(since) == self.first + wanted[0]
            window = self.reader.window((newest - since) / 1e9)
            assert [value(record) for record in window] == wanted
            with self.reader.view(window_secs=(newest - since) / 1e9) as seen:
                assert [value(record) for record in seen] == wanted
        assert self.reader.find(newest + 1) == self.first + len(self.spans)


@pytest.mark.parametrize("spec", [ROWS, SAMPLES, FRAMES], ids=lambda spec: spec.kind)
@settings(max_examples=25, deadline=None)
@given(
    border=st.sampled_from(BORDERS),
    steps=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=25),
)
def test_a_ring_far_on_does_what_the_list_does(spec, border, steps):
    with TemporaryDirectory() as directory:
        written = Written(Path(directory), spec, border)
        for number, (rows, pause) in enumerate(steps):
            written.write(rows, pause)
            if number % 4 == 0:
                written.check()
        written.check()
        written.writer.close()


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("spec", [ROWS, SAMPLES, FRAMES], ids=lambda spec: spec.kind)
def test_a_follower_passes_the_border(tmp_path, spec, border):
    written = Written(tmp_path, spec, border)
    following = written.reader.follow(border - 5, timeout=5)
    for number in range(12):
        written.write(3, 1)
        assert written.reader.wait(border - 5 + number, timeout=0)
        record = next(following)
        assert (record.sequence, value(record)) == (border - 5 + number, number)
    written.writer.close()
    assert list(following) == []
    statistics = written.reader.statistics()
    assert statistics.next_sequence == border + 7
    assert statistics.rows == border - 17 + sum(written.rows)


def test_a_ring_cannot_begin_beyond_its_numbers(tmp_path):
    schema = Layout.from_spec(ROWS).schema
    for origin in [(2**63 + 1, 0, 0), (0, 2**63 + 64, 0), (0, 0, 2**63 + 1), (5, 100, 5)]:
        with pytest.raises(core.InvalidError, match="begins"):
            core.RingWriter.create(tmp_path / "r.00000001.ring", schema, CAPACITY, origin=origin)
    with pytest.raises(StreamError):
        StreamReader.open(tmp_path / "r.00000001.ring")
