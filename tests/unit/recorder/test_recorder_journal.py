"""The journal keeps what it acknowledged, and never returns what is damaged."""

from __future__ import annotations

import errno
import os
import random
import zlib

import numpy as np
import pytest

from ringdaq.errors import RecordingError
from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.disk import Disk, QuickDisk
from ringdaq.recorder.entries import (
    FORMAT_VERSION,
    SEGMENT_HEADER_BYTES,
    End,
    GapEntry,
    Manifest,
    RecordsEntry,
    StreamOpened,
)
from ringdaq.recorder.journal import (
    AHEAD_BYTES,
    RESERVE_BYTES,
    DirectoryLock,
    JournalWriter,
    NotDurableError,
    segment_paths,
)
from ringdaq.recorder.native import crc32
from ringdaq.recorder.resume import resume
from ringdaq.recorder.scan import JournalReader

SPEC = StreamSpec("meter", "rows", (Channel("value", "float64", "W"),))


def record(sequence, rows=1, first_row=None, size=40):
    payload = random.Random(sequence).randbytes(size)
    first_row = sequence if first_row is None else first_row
    frames = np.array([[rows, sequence * 10, sequence * 10 + 9, size]])
    return RecordsEntry(0, sequence, first_row, frames, payload)


class Books:
    """A journal writer with the books it needs."""

    def __init__(self, directory, **options):
        found = resume(directory)
        self.ledger = found.ledger if found else Ledger({"recording_id": "r"}, checked=True)
        self.writer = JournalWriter(
            directory,
            "r",
            self.ledger.preamble,
            next_entry=found.next_entry if found else 0,
            **options,
        )
        if found is None:
            self.ledger.take(StreamOpened(0, "gen", SPEC, 0, b"schema"))

    def commit(self, *bodies):
        written = self.writer.commit(bodies)
        for body in bodies:
            self.ledger.take(body)
        return written


class BrokenDisk(Disk):
    """Fails the calls it is told to."""

    def __init__(self):
        self.fail = {}
        self.free = None

    def _maybe_fail(self, what):
        error = self.fail.get(what)
        if error is not None:
            raise OSError(error, os.strerror(error))

    def write(self, fd, parts):
        if self.fail.get("write"):
            os.write(fd, b"".join(parts)[:30])  # a short write, then the error
        self._maybe_fail("write")
        return super().write(fd, parts)

    def sync(self, fd):
        self._maybe_fail("sync")
        super().sync(fd)

    def create(self, path):
        self._maybe_fail("create")
        return super().create(path)

    def free_bytes(self, path):
        free = 0 if self.fail.get("space") else self.free
        return super().free_bytes(path) if free is None else free


def records(directory):
    return [e.body for e in JournalReader(directory).entries() if isinstance(e.body, RecordsEntry)]


def sequences(directory):
    return [body.sequence for body in records(directory)]


@pytest.mark.parametrize("size", [0, 1, 31, 4096, 1 << 20])
def test_a_checksum_is_that_of_zlib_in_one_piece_or_two(size):
    data = random.Random(size).randbytes(size)
    assert crc32(data) == zlib.crc32(data)
    assert crc32(memoryview(data)[size // 3 :], crc32(data[: size // 3])) == zlib.crc32(data)


@pytest.mark.parametrize("disk", [Disk(), QuickDisk()])
def test_an_append_is_whole_or_not_at_all(tmp_path, disk):
    path = tmp_path / "some"
    fd = disk.create(path)
    assert disk.append(fd, b"first,", 0)[0]
    assert disk.append(fd, b"second", 4096)[1] > 4096
    named, free = disk.append(fd, b"not this", 1 << 62)
    assert named
    assert free < 1 << 62
    assert path.read_bytes() == b"first,second"
    path.unlink()
    assert not disk.append(fd, b"nor this", 0)[0]
    assert os.fstat(fd).st_size == 12
    disk.close(fd)
    with pytest.raises(OSError, match="descriptor"):
        disk.append(fd, b"nor this", 0)
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="space"):
        disk.append(full, b"nor this", 0)
    os.close(full)


class PieceDisk(Disk):
    """Notes what is written and hastened; fails a write by its number."""

    def __init__(self):
        self.steps: list[str] = []
        self.fail_at = -1

    def write(self, fd, parts):
        if self.steps.count("write") == self.fail_at:
            self.fail_at = -1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.steps.append("write")
        return super().write(fd, parts)

    def hasten(self, fd):
        self.steps.append("hasten")
        super().hasten(fd)

    def sync(self, fd):
        self.steps.append("sync")
        super().sync(fd)


def test_the_disk_begins_with_a_long_batch_before_all_of_it_is_written(tmp_path):
    disk = PieceDisk()
    Books(tmp_path, disk=disk).commit(*(record(n, size=3 << 20) for n in range(4)))
    assert disk.steps == ["write", "hasten", "write", "sync"]
    assert sequences(tmp_path) == [0, 1, 2, 3]


def test_nothing_of_a_long_batch_counts_when_its_second_half_fails(tmp_path):
    disk = PieceDisk()
    books = Books(tmp_path, disk=disk)
    books.commit(record(0))
    disk.fail_at = disk.steps.count("write") + 1
    with pytest.raises(NotDurableError):
        books.commit(*(record(n, size=3 << 20) for n in range(1, 5)))
    assert sequences(tmp_path) == [0]
    books.commit(record(1))
    assert sequences(tmp_path) == [0, 1]


def test_short_batches_leave_the_length_of_the_file_as_it_is(tmp_path):
    books = Books(tmp_path)
    books.commit(record(0))
    (path,) = segment_paths(tmp_path)
    length = path.stat().st_size
    for n in range(1, 200):
        books.commit(record(n))
        assert path.stat().st_size == length
    assert sequences(tmp_path) == list(range(200))
    books.commit(record(200, size=300 << 10))
    for n in range(201, 2500):
        books.commit(record(n))
    assert sequences(tmp_path) == list(range(2500))


def test_zeros_that_a_dead_writer_left_are_the_end_and_no_damage(tmp_path):
    for start in range(0, 9, 3):
        books = Books(tmp_path)
        assert books.ledger.accounts[0].next_sequence == start
        books.commit(*map(record, range(start, start + 3)))
    reader = JournalReader(tmp_path)
    assert len([e for e in reader.entries() if isinstance(e.body, RecordsEntry)]) == 9
    assert reader.damage == []
    assert all(path.read_bytes().endswith(bytes(100_000)) for path in segment_paths(tmp_path))


def test_what_is_torn_in_front_of_zeros_is_damage(tmp_path):
    books = Books(tmp_path)
    books.commit(record(0))
    (path,) = segment_paths(tmp_path)
    (*_, last) = JournalReader(tmp_path).entries()
    books.commit(record(1))
    with path.open("r+b") as file:
        file.seek(last.end + 40)
        file.write(bytes(40))
    reader = JournalReader(tmp_path)
    assert len([e for e in reader.entries() if isinstance(e.body, RecordsEntry)]) == 1
    assert [(d.start, d.end, d.at_end) for d in reader.damage] == [
        (last.end, path.stat().st_size, True)
    ]
    again = Books(tmp_path)
    assert path.stat().st_size == last.end
    again.commit(record(1))
    assert sequences(tmp_path) == [0, 1]


def test_a_journal_that_is_closed_has_no_zeros_left(tmp_path):
    books = Books(tmp_path)
    books.commit(record(0))
    (*_, last) = JournalReader(tmp_path).entries()
    books.writer.close()
    assert segment_paths(tmp_path)[0].stat().st_size == last.end


def test_no_zeros_are_written_where_little_space_is_left(tmp_path):
    disk = BrokenDisk()
    disk.free = RESERVE_BYTES + 100_000
    books = Books(tmp_path, disk=disk)
    books.commit(record(0))
    (*_, last) = JournalReader(tmp_path).entries()
    assert segment_paths(tmp_path)[0].stat().st_size == last.end
    disk.free = None
    books.commit(record(1))
    assert segment_paths(tmp_path)[0].stat().st_size > last.end + AHEAD_BYTES // 2
    assert sequences(tmp_path) == [0, 1]


def test_what_is_written_is_read_back(tmp_path):
    books = Books(tmp_path)
    wanted = [
        record(0),
        record(1, size=0),
        GapEntry(0, 2, 3, 2, 30, "lapped"),
        record(5, first_row=32),
        End({"state": "completed", "text": "µ\0"}),
    ]
    books.commit(*wanted)
    bodies = [e.body for e in JournalReader(tmp_path).entries()]
    assert isinstance(bodies[0], Manifest)
    assert bodies[1] == StreamOpened(0, "gen", SPEC, 0, b"schema")
    assert [*map(_comparable, bodies[3:])] == [*map(_comparable, wanted)]
    numbers = [e.number for e in JournalReader(tmp_path).entries()]
    assert numbers == list(range(8))


def _comparable(body):
    if not isinstance(body, RecordsEntry):
        return body
    return (body.stream, body.sequence, body.first_row, body.frames.tolist(), bytes(body.payloads))


def test_each_segment_can_be_read_without_the_older_ones(tmp_path):
    books = Books(tmp_path, segment_bytes=2000)
    for sequence in range(0, 100, 5):
        books.commit(*map(record, range(sequence, sequence + 5)))
    paths = segment_paths(tmp_path)
    assert len(paths) > 5
    assert sequences(tmp_path) == list(range(100))
    for path in paths[:-1]:
        path.unlink()
    found = resume(tmp_path)
    assert found is not None
    assert found.ledger.accounts[0].next_sequence == 100
    assert found.ledger.accounts[0].rows == 100
    assert found.ledger.description["recording_id"] == "r"


def test_a_writer_goes_on_where_the_last_one_stopped(tmp_path):
    for start in range(0, 30, 3):
        books = Books(tmp_path)
        assert books.ledger.accounts[0].next_sequence == start
        books.commit(*map(record, range(start, start + 3)))
        books.writer.close()
    assert sequences(tmp_path) == list(range(30))


def test_every_cut_leaves_a_whole_beginning(tmp_path):
    books = Books(tmp_path)
    for first in (0, 3):
        books.commit(*map(record, range(first, first + 3)))
    books.writer.close()
    (path,) = segment_paths(tmp_path)
    whole = path.read_bytes()
    before = 0
    for length in range(SEGMENT_HEADER_BYTES, len(whole) + 1):
        path.write_bytes(whole[:length])
        found = sequences(tmp_path)
        assert found == list(range(len(found)))
        assert len(found) >= before
        before = len(found)
    assert before == 6


def test_a_torn_tail_is_cut_off_before_writing_goes_on(tmp_path):
    books = Books(tmp_path)
    books.commit(*map(record, range(5)))
    books.writer.close()
    (path,) = segment_paths(tmp_path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 13)
    books = Books(tmp_path)
    assert books.ledger.accounts[0].next_sequence == 4
    books.commit(record(4), record(5))
    assert sequences(tmp_path) == list(range(6))
    reader = JournalReader(tmp_path)
    assert len(list(reader.entries())) == 6 + 2 * 3
    assert reader.damage == []


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    books = Books(tmp_path)
    wanted = list(map(record, range(20)))
    books.commit(*wanted)
    books.writer.close()
    (path,) = segment_paths(tmp_path)
    whole = path.read_bytes()
    genuine = {body.sequence: bytes(body.payloads) for body in wanted}
    chance = random.Random(1)
    for _ in range(500):
        place, bit = chance.randrange(len(whole)), chance.randrange(8)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        reader = JournalReader(tmp_path)
        try:
            found = [e.body for e in reader.entries() if isinstance(e.body, RecordsEntry)]
        except RecordingError:
            continue
        assert reader.damage or len(found) == 0
        assert len(found) >= (19 if place >= SEGMENT_HEADER_BYTES else 0)
        assert all(genuine[body.sequence] == bytes(body.payloads) for body in found)


def test_damage_is_reported_with_its_range_and_becomes_a_gap(tmp_path):
    books = Books(tmp_path)
    books.commit(*map(record, range(10)))
    books.writer.close()
    (path,) = segment_paths(tmp_path)
    third = [e for e in JournalReader(tmp_path).entries() if isinstance(e.body, RecordsEntry)][3]
    with path.open("r+b") as file:
        file.seek(third.offset + 60)
        file.write(b"\xff" * 8)
    reader = JournalReader(tmp_path)
    ledger = Ledger(checked=True)
    taken = [body for entry in reader.entries() for body in ledger.take(entry.body)]
    assert [(d.start, d.end, d.at_end) for d in reader.damage] == [(third.offset, third.end, False)]
    assert [b for b in taken if isinstance(b, GapEntry)] == [
        GapEntry(0, 3, 1, 3, 1, "damaged journal")
    ]
    account = ledger.accounts[0]
    assert (account.rows, account.gap_rows, account.next_row) == (9, 1, 10)


def test_bytes_of_another_recording_never_pass(tmp_path):
    ours, theirs = tmp_path / "a", tmp_path / "b"
    for directory, name in ((ours, "r"), (theirs, "other")):
        directory.mkdir()
        writer = JournalWriter(directory, name, Ledger({"recording_id": name}).preamble)
        writer.commit([StreamOpened(0, "gen", SPEC, 0), record(0)])
    (path,) = segment_paths(ours)
    stale = segment_paths(theirs)[0].read_bytes()[SEGMENT_HEADER_BYTES:]
    with path.open("ab") as file:
        file.write(stale)
    assert sequences(ours) == [0]
    (ours / "segment-00000002.journal").write_bytes(segment_paths(theirs)[0].read_bytes())
    with pytest.raises(RecordingError, match="belong to one recording"):
        sequences(ours)


def test_a_newer_format_is_refused_with_both_numbers(tmp_path):
    from ringdaq.recorder import entries

    header = entries.SegmentHeader("r", 1, 0, 0)
    written = entries.encode_segment_header(header)
    assert entries.decode_segment_header(written) == header
    newer = bytearray(written)
    newer[8:12] = (FORMAT_VERSION + 1).to_bytes(4, "little")
    newer[-4:] = zlib.crc32(newer[:-4]).to_bytes(4, "little")
    (tmp_path / "segment-00000001.journal").write_bytes(newer)
    with pytest.raises(RecordingError, match="format 2; found format 3"):
        sequences(tmp_path)


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("sync", errno.EIO),
        ("create", errno.EROFS),
        ("create", errno.EMFILE),
        ("space", errno.ENOSPC),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_failed_batch_does_not_count_and_may_be_tried_again(tmp_path, what, error, first):
    disk = BrokenDisk()
    books = Books(tmp_path, disk=disk, segment_bytes=600)
    done = 0
    if not first:
        books.commit(record(0), record(1))
        done = 2
    disk.fail = {what: error}
    for _ in range(3):
        with pytest.raises(NotDurableError):
            books.writer.commit([record(done), record(done + 1)])
        assert sequences(tmp_path) == list(range(done))
    disk.fail = {}
    books.commit(record(done), record(done + 1))
    assert sequences(tmp_path) == list(range(done + 2))
    found = resume(tmp_path)
    assert found is not None
    assert found.next_entry == books.writer.next_entry
    assert found.ledger.accounts[0].rows == done + 2


def test_a_segment_whose_sync_failed_is_never_called_durable(tmp_path):
    class Forgetful(BrokenDisk):
        def truncate(self, fd, length):
            raise OSError(errno.EIO, "nor can it be cut")

    disk = Forgetful()
    books = Books(tmp_path, disk=disk)
    books.commit(record(0))
    disk.fail = {"sync": errno.EIO}
    with pytest.raises(NotDurableError):
        books.writer.commit([record(1, size=99)])
    disk.fail = {}
    books.commit(record(1))
    assert len(segment_paths(tmp_path)) == 2
    found = records(tmp_path)
    assert [len(body.payloads) for body in found] == [40, 40]


def test_a_removed_journal_is_not_written_on(tmp_path):
    directory = tmp_path / "journal"
    directory.mkdir()
    books = Books(directory)
    books.commit(record(0))
    for path in segment_paths(directory):
        path.unlink()
    directory.rename(tmp_path / "moved")
    directory.mkdir()
    for _ in range(2):
        with pytest.raises(NotDurableError, match="somebody"):
            books.writer.commit([record(1)])
    assert segment_paths(directory) == []


def test_one_recorder_writes_a_journal(tmp_path):
    lock = DirectoryLock(tmp_path)
    with pytest.raises(BlockingIOError):
        DirectoryLock(tmp_path)
    lock.close()
    DirectoryLock(tmp_path).close()
