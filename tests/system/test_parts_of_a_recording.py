"""The parts of a rotated recording meet without a seam, whenever the recorder hears of the end."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from recorder_stand import Stand, wait_until

from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder import describe_file
from ringdaq.streams import StreamReader, StreamWriter

pytestmark = pytest.mark.slow

SPEC = StreamSpec("fast", "rows", (Channel("n", "int64"),))
READ, TOLD = 1000, 900
"""Rows that the recorder has read, and those the ring had when the daemon looked."""


class Rotation:
    """A stand whose recorder has read further than the first part is told to end."""

    def __init__(self, stand: Stand, writer: StreamWriter) -> None:
        self.stand, self.writer = stand, writer
        self.reader = StreamReader.open(writer.path)
        self.written = 0

    def write(self, rows: int) -> None:
        """One record a row."""
        for n in range(self.written, self.written + rows):
            self.writer.append(n, n)
        self.written += rows

    def begin(self) -> None:
        self.stand.start_recorder()
        self.stand.open("first", [self.reader])
        self.write(READ)
        wait_until(lambda: self.durable("first") == READ, "the first rows to be durable")

    def durable(self, name: str) -> int:
        streams = self.stand.reports.get(name, {}).get("streams", {})
        return int(streams.get("fast", {}).get("durable_rows", 0))

    def end_first(self) -> None:
        """Tell the end as a daemon does that looked at the ring before the recorder did."""
        first = self.stand.recordings["first"]
        first["streams"][0] |= {"end_sequence": TOLD, "end_rows": TOLD}
        first["end"] = {"state": "rotated", "error": None, "ended_nanos": 1}
        self.stand.tell("recording.close", first)

    def begin_second(self) -> None:
        begun = {"start_sequence": TOLD, "start_rows": TOLD, "continues": "first"}
        self.stand.open("second", [self.reader], **begun)

    def end_second(self) -> None:
        self.stand.end("second", [self.reader])

    def check(self) -> None:
        """Both files together hold each row once, and say so."""
        parts = []
        for name, expected in (("first", READ), ("second", self.written - READ)):
            self.stand.wait_sealed(name)
            path = self.stand.data / f"{name}.h5"
            counts = describe_file(path)["streams"]["fast"]
            assert (counts["produced_rows"], counts["durable_rows"]) == (expected, expected)
            assert (counts["gap_rows"], counts["gaps"]) == (0, 0)
            with h5py.File(path) as file:
                parts.append(file["entry/fast/n"][:])
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(self.written))


@pytest.fixture
def rotation(tmp_path, ring_directory):
    writer = StreamWriter.create(ring_directory, SPEC, capacity_bytes=1 << 20)
    stand = Stand(tmp_path)
    made = Rotation(stand, writer)
    yield made
    stand.close()
    made.reader.close()
    writer.close()


def test_the_next_part_begins_where_the_one_before_was_read_to(rotation):
    rotation.begin()
    rotation.end_first()
    rotation.begin_second()
    rotation.write(500)
    rotation.end_second()
    rotation.check()


def test_the_next_part_may_end_before_it_begins(rotation):
    rotation.begin()
    rotation.end_first()
    rotation.begin_second()
    second = rotation.stand.recordings["second"]
    second["streams"][0] |= {"end_sequence": TOLD + 50, "end_rows": TOLD + 50}
    second["end"] = {"state": "completed", "error": None, "ended_nanos": 1}
    rotation.stand.tell("recording.close", second)
    rotation.check()


@pytest.mark.parametrize("keep_journal", [True, False])
def test_a_new_recorder_finds_where_a_finished_part_ended(rotation, keep_journal):
    rotation.stand.keep_journal = keep_journal
    rotation.begin()
    rotation.end_first()
    rotation.stand.wait_sealed("first")
    rotation.stand.kill_recorder()
    rotation.begin_second()
    rotation.write(500)
    rotation.stand.start_recorder()
    rotation.end_second()
    rotation.check()


def test_a_new_recorder_goes_on_with_both_parts(rotation):
    rotation.begin()
    rotation.stand.kill_recorder()
    rotation.end_first()
    rotation.begin_second()
    rotation.write(500)
    rotation.stand.start_recorder()
    rotation.write(500)
    wait_until(lambda: rotation.durable("second") == 1000, "the second part's rows")
    rotation.stand.kill_recorder()
    rotation.write(300)
    rotation.stand.start_recorder()
    rotation.end_second()
    rotation.check()


@pytest.mark.parametrize("keep_journal", [True, False])
def test_a_finished_recording_that_is_described_again_is_not_made_again(rotation, keep_journal):
    """The recorder may die before the daemon hears that it has finished."""
    stand = rotation.stand
    stand.keep_journal = keep_journal
    rotation.begin()
    first = stand.recordings["first"]
    rotation.end_first()
    stand.wait_sealed("first")
    stand.kill_recorder()
    path = stand.data / "first.h5"
    before = path.stat()
    stand.recordings["first"] = first
    stand.reports.clear()
    stand.start_recorder()
    report = stand.wait_sealed("first")
    assert report["streams"]["fast"]["durable_rows"] == READ
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
