"""Reading: copies, views, time, following, and the ways a stream can end."""

import os
import threading

import numpy as np
import pytest

from ringdaq.errors import (
    ClosedStreamError,
    CorruptRecordError,
    EndOfStreamError,
    NotYetWrittenError,
    OverrunError,
    StreamError,
    UnknownStreamError,
)
from ringdaq.streams import Record, StreamReader, decode

SMALL = 4096


def fill(writer, count, start=0):
    for i in range(start, start + count):
        writer.append(i * 10, i)


def test_the_future_is_not_yet_written(make_writer, scalar_spec):
    reader = StreamReader.open(make_writer(scalar_spec).path)
    with pytest.raises(NotYetWrittenError):
        reader.read(0)
    assert reader.latest() is None
    assert len(reader.window(5)) == 0
    with pytest.raises(NotYetWrittenError):
        reader.view()
    for nonsense in (-1, 1 << 64):
        with pytest.raises(StreamError, match="sequence number"):
            reader.read(nonsense)


def test_a_closed_stream_ends(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    fill(writer, 3)
    reader = StreamReader.open(writer.path)
    writer.close()
    assert reader.read(2).columns()["x"][0] == 2
    with pytest.raises(EndOfStreamError):
        reader.read(3)
    assert reader.wait(3, timeout=30)
    assert [r.sequence for r in reader.follow("oldest", timeout=30)] == [0, 1, 2]
    assert not reader.statistics().writer_alive


@pytest.mark.parametrize("limit", [1, 500, 100_000])
def test_records_copied_together_are_those_copied_one_by_one(make_writer, scalar_spec, limit):
    writer = make_writer(scalar_spec)
    for i in range(9):
        writer.write_rows(list(range(10 * i, 10 * i + i + 1)), {"x": [i] * (i + 1)})
    reader = StreamReader.open(writer.path)
    sequence = 2
    while sequence < 9:
        copied = reader.copy_many(sequence, 9, limit)
        assert copied.first_row == reader.read(sequence).first_row
        assert copied.rows == copied.frames[:, 0].sum()
        assert copied.frames[:, 3].sum() == len(copied.payloads)
        end = 0
        for rows, first, last, size in copied.frames.tolist():
            alone = reader.read(sequence)
            assert (rows, first, last) == (alone.rows, alone.first_nanos, alone.last_nanos)
            assert copied.payloads[end : end + size] == bytes(alone.payload)
            end, sequence = end + size, sequence + 1
        assert len(copied.frames) == 1 or limit > 1
    with pytest.raises(NotYetWrittenError):
        reader.copy_many(9, 10, limit)


def test_an_overrun_is_counted_exactly(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, SMALL)
    reader = StreamReader.open(writer.path)
    rows = [1 + i % 5 for i in range(50)]
    for i, count in enumerate(rows):
        writer.write_rows([i] * count, {"x": [i] * count})
    statistics = reader.statistics()
    assert (statistics.records, statistics.rows) == (50, sum(rows))
    oldest = statistics.oldest_sequence
    assert 0 < oldest < 50
    for sequence in range(oldest):
        with pytest.raises(OverrunError) as caught:
            reader.read(sequence)
        error = caught.value
        assert error.resume_at == oldest
        assert error.lost_records == oldest - sequence
        assert error.lost_rows == sum(rows[sequence:oldest])
    assert reader.read(oldest).first_row == sum(rows[:oldest])


def test_a_reader_remembers_its_place_beyond_the_index(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, SMALL)
    reader = StreamReader.open(writer.path)
    fill(writer, 4)
    assert reader.read(3).sequence == 3
    fill(writer, 3000, start=4)
    with pytest.raises(OverrunError) as caught:
        reader.read(4)
    oldest = reader.statistics().oldest_sequence
    assert (caught.value.lost_records, caught.value.lost_rows) == (oldest - 4, oldest - 4)
    stranger = StreamReader.open(writer.path)
    with pytest.raises(OverrunError) as caught:
        stranger.read(7)
    assert caught.value.lost_rows == -1


def test_a_view_lies_in_the_mapping(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    writer.write_block(0, np.arange(40, dtype=np.int32).reshape(10, 4))
    reader = StreamReader.open(writer.path)
    begin = np.frombuffer(reader.mapping, np.uint8).ctypes.data
    end = begin + len(reader.mapping)
    with reader.view() as record:
        samples = record.columns()["samples"]
        assert begin <= samples.ctypes.data < end
        assert samples.ctypes.data % 64 == 0
        assert not samples.flags.writeable
        batch = record.to_arrow()
        buffers = [b for b in batch.column(0).flatten().buffers() if b is not None]
        assert buffers
        assert all(begin <= b.address < end and b.address % 64 == 0 for b in buffers)
        assert batch.column(0).flatten().to_numpy().tolist() == list(range(40))


def test_numbers_of_a_view_are_mapped_and_all_else_is_safe(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    reader = StreamReader.open(writer.path)
    begin = np.frombuffer(reader.mapping, np.uint8).ctypes.data
    mapped = range(begin, begin + len(reader.mapping))
    for rows in range(1, 40):
        writer.write_rows(
            list(range(rows)),
            {
                "power": [None, *range(rows - 1)],
                "count": list(range(rows)),
                "good": [True] * rows,
                "note": ["n" * i for i in range(rows)],
            },
        )
        with reader.view() as record:
            batch = record.to_arrow()
            batch.validate(full=True)
            addresses = [batch.column(i).buffers()[1].address for i in range(4)]
            assert all(address in mapped and address % 64 == 0 for address in addresses)
            # What leads to other bytes must not change under whoever follows it.
            leading = [batch.column("power").buffers()[0], *batch.column("note").buffers()[1:]]
            assert all(buffer.address not in mapped for buffer in leading if buffer)


def test_a_lapped_view_raises_on_leaving(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, SMALL)
    fill(writer, 1)
    reader = StreamReader.open(writer.path)
    with pytest.raises(OverrunError) as caught, reader.view(0):
        fill(writer, 100, start=1)
    assert caught.value.lost_records == reader.statistics().oldest_sequence


def test_an_error_inside_a_lapped_view_is_the_overrun(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, SMALL)
    fill(writer, 1)
    reader = StreamReader.open(writer.path)

    def stumble(*, lapped: bool) -> None:
        with reader.view():
            if lapped:
                fill(writer, 100, start=1)
            raise ValueError("mixed bytes look strange")

    with pytest.raises(ValueError, match="strange"):
        stumble(lapped=False)
    with pytest.raises(OverrunError) as caught:
        stumble(lapped=True)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_window_in_place(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, 1 << 16)
    fill(writer, 30)
    reader = StreamReader.open(writer.path)
    with reader.view(window_secs=100e-9) as window:
        assert window.to_numpy()["x"].tolist() == list(range(19, 30))
    with pytest.raises(OverrunError), reader.view(window_secs=100e-9):
        fill(writer, 500, start=30)
    with StreamReader.open(writer.path) as other, other.view(window_secs=0) as window:
        assert len(window) == 1


def test_a_window_starts_where_the_ring_does(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, SMALL)
    fill(writer, 100)
    reader = StreamReader.open(writer.path)
    window = reader.window(1e9)
    oldest = reader.statistics().oldest_sequence
    assert [record.sequence for record in window] == list(range(oldest, 100))
    assert window.times().tolist() == [i * 10 for i in range(oldest, 100)]
    assert window.rows == len(window)
    assert [r.sequence for r in window[:2]] == [oldest, oldest + 1]


def test_a_time_is_found_whatever_the_order(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    times = [10, 30, 20, 50, 40, 60]
    for time in times:
        writer.append(time, 0)
    reader = StreamReader.open(writer.path)
    for wanted in range(0, 70, 5):
        late = [i for i, time in enumerate(times) if time >= wanted]
        assert reader.find(wanted) == (late[0] if late else len(times))


def test_waiting_ends_with_the_record(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    reader = StreamReader.open(writer.path)
    assert not reader.wait(0, timeout=0.01)
    asleep = threading.Event()
    found: list[Record] = []

    def wait() -> None:
        asleep.set()
        assert reader.wait(0, timeout=60)
        found.append(reader.read(0))

    thread = threading.Thread(target=wait)
    thread.start()
    asleep.wait(10)
    fill(writer, 1)
    thread.join(30)
    assert [record.sequence for record in found] == [0]


def test_following_begins_where_asked(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    fill(writer, 3)
    reader = StreamReader.open(writer.path)
    newest, oldest = reader.follow("newest", timeout=30), reader.follow("oldest", timeout=30)
    fill(writer, 2, start=3)
    writer.close()
    assert [r.sequence for r in newest] == [3, 4]
    assert [r.sequence for r in oldest] == [0, 1, 2, 3, 4]
    assert [r.sequence for r in reader.follow(4, timeout=30)] == [4]


def test_following_ends_when_nothing_comes(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    reader = StreamReader.open(writer.path)
    assert list(reader.follow(timeout=0.01)) == []


def test_a_lapped_follower_is_told(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, SMALL)
    reader = StreamReader.open(writer.path)
    follower = reader.follow(timeout=30)
    fill(writer, 1)
    assert next(follower).sequence == 0
    fill(writer, 100, start=1)
    with pytest.raises(OverrunError) as caught:
        next(follower)
    lost, resume_at = caught.value.lost_records, caught.value.resume_at
    assert (lost, caught.value.lost_rows) == (resume_at - 1, resume_at - 1)
    assert next(reader.follow(resume_at, timeout=30)).sequence == resume_at


def test_a_closed_reader_says_so_and_its_views_stay(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    writer.write_block(0, np.ones((10, 4), np.int32))
    reader = StreamReader.open(writer.path)
    with reader.view() as record:
        samples = record.columns()["samples"]
    reader.close()
    with pytest.raises(ClosedStreamError):
        reader.read(0)
    assert reader.closed
    assert samples.sum() == 40


def test_a_missing_ring_is_unknown(tmp_path):
    with pytest.raises(UnknownStreamError, match="eeg"):
        StreamReader.open(tmp_path / "eeg.00000001.ring")


def test_a_link_is_refused(make_writer, scalar_spec, tmp_path):
    writer = make_writer(scalar_spec)
    link = tmp_path / "other.00000001.ring"
    link.symlink_to(writer.path)
    with pytest.raises(StreamError, match="symbolic link"):
        StreamReader.open(link)


def test_a_cut_ring_is_an_error_and_no_crash(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    fill(writer, 3)
    reader = StreamReader.open(writer.path)
    os.truncate(writer.path, 200)
    for call in (reader.latest, reader.statistics, lambda: reader.read(0), lambda: reader.find(0)):
        with pytest.raises(CorruptRecordError, match="cut"):
            call()
    with pytest.raises(CorruptRecordError):
        StreamReader.open(writer.path)


def test_a_payload_kept_elsewhere_is_decoded(make_writer, rows_spec, samples_spec):
    writer = make_writer(rows_spec)
    writer.append(5, 1.0, None, True, "text")
    record = StreamReader.open(writer.path).read(0)
    for offset in range(8):
        kept = memoryview(bytes(offset) + bytes(record.payload))[offset:]
        found = decode(rows_spec, kept, sequence=9, first_nanos=5, last_nanos=5)
        assert (found.sequence, found.rows) == (9, 1)
        assert found.columns()["note"].tolist() == ["text"]
        assert found.to_arrow().equals(record.to_arrow())
    for garbage in (b"", b"x" * 100, bytes(record.payload)[:-65], bytes(1000)):
        with pytest.raises(CorruptRecordError):
            decode(rows_spec, garbage)
    with pytest.raises(CorruptRecordError):
        decode(samples_spec, record.payload)
