"""The ring against a deque, step by step."""

from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ringdaq.errors import NotYetWrittenError, OverrunError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

SPEC = StreamSpec("model", "rows", (Channel("x", "int32"), Channel("s", "string")))
VALUES = st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1))
TEXTS = st.one_of(st.none(), st.text(max_size=30))


class RingAgainstDeque(RuleBasedStateMachine):
    """The deque keeps all records; the ring may have lost the oldest, and must say which."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory()
        self.writer = StreamWriter.create(Path(self.directory.name), SPEC, capacity_bytes=6000)
        self.reader = StreamReader.open(self.writer.path)
        self.records: deque[tuple[list[int], list[int | None], list[str | None]]] = deque()

    @rule(time=st.integers(-(2**63), 2**63 - 1), x=VALUES, s=TEXTS)
    def append(self, time, x, s):
        assert self.writer.append(time, x, s) == len(self.records)
        self.records.append(([time], [x], [s]))

    @rule(rows=st.lists(st.tuples(st.integers(0, 99), VALUES, TEXTS), min_size=1, max_size=12))
    def write_rows(self, rows):
        times, xs, texts = (list(column) for column in zip(*rows, strict=True))
        assert self.writer.write_rows(times, {"x": xs, "s": texts}) == len(self.records)
        self.records.append((times, xs, texts))

    @rule()
    def reopen(self):
        self.reader = StreamReader.open(self.writer.path)

    @precondition(lambda self: self.records)
    @rule(data=st.data())
    def read(self, data):
        sequence = data.draw(st.integers(0, len(self.records) - 1))
        oldest = self.reader.statistics().oldest_sequence
        if sequence >= oldest:
            self.check(sequence)
            return
        with pytest.raises(OverrunError) as caught:
            self.reader.read(sequence)
        assert caught.value.resume_at == oldest
        assert caught.value.lost_records == oldest - sequence
        assert caught.value.lost_rows == self.rows_before(oldest) - self.rows_before(sequence)

    def check(self, sequence):
        record = self.reader.read(sequence)
        times, xs, texts = self.records[sequence]
        columns, masks = record.columns(), record.masks()
        assert columns["time"].tolist() == times
        assert columns["s"].tolist() == texts
        missing = masks["x"] if "x" in masks else [False] * record.rows
        pairs = zip(columns["x"].tolist(), missing, strict=True)
        assert [None if gone else x for x, gone in pairs] == xs
        assert record.first_row == self.rows_before(sequence)

    def rows_before(self, sequence):
        return sum(len(self.records[i][0]) for i in range(sequence))

    @invariant()
    def counters_agree(self):
        statistics = self.reader.statistics()
        assert statistics.records == statistics.next_sequence == len(self.records)
        assert statistics.rows == self.rows_before(len(self.records))
        with pytest.raises(NotYetWrittenError):
            self.reader.read(len(self.records))

    @invariant()
    def newest_is_there(self):
        if self.records:
            self.check(len(self.records) - 1)

    def teardown(self):
        self.writer.close()
        self.directory.cleanup()


RingAgainstDeque.TestCase.settings = settings(
    max_examples=40, stateful_step_count=60, deadline=None
)
test_ring_against_deque = RingAgainstDeque.TestCase
