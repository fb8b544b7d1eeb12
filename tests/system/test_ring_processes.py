"""Rings between processes: killed writers, lapped and sleeping readers."""

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from ring_writer import block, text

from ringdaq.errors import OverrunError, WriterGoneError
from ringdaq.streams import Record, RingDirectory, StreamReader, attach

ROUNDS = 30
DEADLINE_SECS = 60


class Writer:
    """The writing process, and what it says it has committed."""

    def __init__(self, directory: Path, kind: str, capacity_bytes: int, count: int = 10**9) -> None:
        script = Path(__file__).with_name("ring_writer.py")
        command = [sys.executable, script, directory, kind, str(capacity_bytes), str(count)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.path = Path(self.process.stdout.readline().strip())
        self.said = -1
        self._listening = threading.Thread(target=self._listen, args=(self.process.stdout,))
        self._listening.start()

    def _listen(self, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                if line.endswith("\n"):
                    self.said = int(line)

    def kill(self) -> int:
        """Kill it; returns the last number it said was committed."""
        self.process.kill()
        self.process.wait(DEADLINE_SECS)
        self._listening.join(DEADLINE_SECS)
        return self.said


@pytest.fixture
def start(ring_directory):
    writers = []

    def start(kind: str, capacity_bytes: int, count: int = 10**9) -> Writer:
        writers.append(Writer(ring_directory, kind, capacity_bytes, count))
        return writers[-1]

    yield start
    for writer in writers:
        writer.kill()


def check(record: Record) -> None:
    """Every byte that a record holds follows from its number."""
    number = record.sequence
    columns = record.columns()
    if record.spec.kind == "samples":
        samples = columns["samples"]
        assert samples.shape == block(number).shape
        assert (samples == number).all()
    else:
        assert columns["n"].tolist() == [number]
        assert columns["square"].tolist() == [float(number) ** 2]
        assert columns["text"].tolist() == [text(number)]


def read_to_the_end(reader: StreamReader, sequence: int, lost: list[tuple[int, int]]) -> int:
    """Follow a ring until its writer is gone; returns how many records were read."""
    count, expected_row = 0, None
    while True:
        try:
            record = reader.read(sequence)
        except OverrunError as error:
            lost.append((error.lost_records, error.lost_rows))
            if expected_row is not None:
                expected_row += error.lost_rows
            sequence += error.lost_records
            continue
        except WriterGoneError:
            return count
        except Exception:
            if reader.wait(sequence, DEADLINE_SECS):
                continue
            raise
        check(record)
        assert record.sequence == sequence
        assert expected_row in (None, record.first_row)
        expected_row = record.first_row + record.rows
        sequence += 1
        count += 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["rows", "blocks"])
def test_a_killed_writer_leaves_everything_it_committed(start, kind):
    chance = random.Random(11)
    for _ in range(ROUNDS):
        writer = start(kind, chance.choice([64 << 10, 1 << 20]))
        reader, lost = StreamReader.open(writer.path), []
        outcome: list[int] = []
        following = threading.Thread(
            target=lambda r=reader, o=outcome, m=lost: o.append(read_to_the_end(r, 0, m))
        )
        following.start()
        wanted = chance.randrange(3000)
        while not reader.wait(wanted, 0.001 + chance.random() * 0.02) and chance.random() < 0.8:
            pass
        committed = writer.kill()
        following.join(DEADLINE_SECS)
        assert not following.is_alive()
        statistics = reader.statistics()
        assert statistics.records > committed
        assert outcome == [statistics.records - sum(records for records, _ in lost)]
        assert not statistics.writer_alive
        assert not statistics.closed
        for sequence in range(statistics.oldest_sequence, statistics.records):
            check(reader.read(sequence))
        reader.close()
        rings = RingDirectory(writer.path.parent)
        for path in rings.all_dead():
            rings.remove(path)
        assert not writer.path.exists()


def test_a_slow_reader_counts_every_lost_row(start):
    writer = start("blocks", 256 << 10, 20_000)
    reader, lost, read_rows, sequence = StreamReader.open(writer.path), [], 0, 0
    writer.process.wait(DEADLINE_SECS)
    while True:
        try:
            for record in reader.follow(sequence, timeout=DEADLINE_SECS):
                check(record)
                read_rows += record.rows
                sequence += 1
            break
        except OverrunError as error:
            lost.append(error.lost_rows)
            sequence = error.resume_at
    statistics = reader.statistics()
    assert statistics.records == 20_000
    assert lost
    assert statistics.rows == read_rows + sum(lost) == sum(len(block(n)) for n in range(20_000))


def look_at(reader: StreamReader, sequence: int) -> tuple[dict[str, list[object]], int]:
    """A record's rows by pyarrow, taken where they lie, and the address of its numbers."""
    with reader.view(sequence) as record:
        batch = record.to_arrow()
        column = batch.column(0)
        values = column.flatten() if record.spec.kind == "samples" else column
        address = values.buffers()[1].address
        return batch.to_pydict() | {"times": record.times().tolist()}, address


def expected(kind: str, number: int) -> dict[str, list[object]]:
    """The same from the number alone."""
    if kind == "blocks":
        rows = len(block(number))
        times = [number + i * 250_000 for i in range(rows)]
        return {"samples": [[number] * 8] * rows, "times": times}
    return {
        "n": [number],
        "square": [float(number) ** 2],
        "text": [text(number)],
        "times": [number],
    }


@pytest.mark.parametrize("kind", ["rows", "blocks"])
def test_views_of_a_racing_writer_are_whole_or_refused(start, kind):
    writer = start(kind, 64 << 10)
    reader = StreamReader.open(writer.path)
    begin = np.frombuffer(reader.mapping, np.uint8).ctypes.data
    assert reader.wait(20, DEADLINE_SECS)
    whole = refused = 0
    deadline = time.monotonic() + DEADLINE_SECS
    while (whole < 500 or refused < 20) and time.monotonic() < deadline:
        # The oldest record is the one that is overwritten next.
        found = reader.statistics()
        sequence = min(found.oldest_sequence + whole % 3, found.next_sequence - 1)
        try:
            seen, address = look_at(reader, sequence)
        except OverrunError:
            refused += 1
            continue
        assert begin <= address < begin + len(reader.mapping)
        seen.pop("time", None)
        assert seen == expected(kind, sequence)
        whole += 1
    assert whole >= 500


def test_a_sleeping_reader_is_woken_by_another_process(start, ring_directory):
    writer = start("rows", 1 << 20, 2000)
    reader = StreamReader.open(writer.path)
    for sequence in range(2000):
        assert reader.wait(sequence, DEADLINE_SECS)
    assert reader.wait(2000, DEADLINE_SECS)
    assert [r.sequence for r in reader.follow(1998, timeout=1)] == [1998, 1999]


def test_a_follower_finds_the_successor_of_a_killed_writer(start, ring_directory):
    first = start("rows", 64 << 20)
    stream = attach("rows", directory=ring_directory)
    follower = stream.follow("oldest", timeout=DEADLINE_SECS)
    record = next(follower)
    first.kill()
    second = start("rows", 1 << 20, 500)
    numbers = {record.generation: record.sequence + 1}
    for record in follower:
        check(record)
        assert record.sequence == numbers.get(record.generation, 0)
        numbers[record.generation] = record.sequence + 1
    assert len(numbers) == 2
    assert numbers[StreamReader.open(second.path).generation] == 500
    assert stream.path == second.path


def test_killed_readers_leave_nothing_behind(start, ring_directory):
    writer = start("rows", 1 << 20)
    code = (
        "import sys; from pathlib import Path; from ringdaq.streams import StreamReader\n"
        "reader = StreamReader.open(Path(sys.argv[1]))\n"
        "print('ready', flush=True)\n"
        "while True: reader.wait(2**62, 60)\n"
    )
    before = sorted(path.name for path in ring_directory.iterdir())
    for _ in range(5):
        command = [sys.executable, "-c", code, str(writer.path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.kill()
    assert sorted(path.name for path in ring_directory.iterdir()) == before
    reader = StreamReader.open(writer.path)
    now = reader.statistics().next_sequence
    assert reader.wait(now + 100, DEADLINE_SECS)
    check(reader.latest())


def test_a_waiting_reader_can_be_interrupted(start):
    writer = start("rows", 1 << 20)
    code = (
        "import sys; from pathlib import Path; from ringdaq.streams import StreamReader\n"
        "reader = StreamReader.open(Path(sys.argv[1]))\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    reader.wait(2**62, 1e9)\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    command = [sys.executable, "-c", code, str(writer.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)
    assert process.returncode == 130
