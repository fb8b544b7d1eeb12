"""A fork of the writer's process cannot touch the ring, whatever becomes of its copy."""

import os
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from ringdaq.streams import Record, StreamReader, StreamWriter

HOUR_SECS = 3600.0
WAITING = 4


class Fork:
    """A child that does its job when it is told to; it ends without tidying up."""

    def __init__(self, job: Callable[[], object]) -> None:
        (begins, self._begin), (self._said, says) = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forks of threads are meant here
            self._child = os.fork()
        if self._child == 0:
            try:
                os.read(begins, 1)
                said = repr(job())
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(says, said.encode())
            os._exit(0)
        os.close(begins)
        os.close(says)

    def ended(self) -> str:
        """Let it do its job, and hear what came of it."""
        os.write(self._begin, b"!")
        os.close(self._begin)
        with os.fdopen(self._said) as said:
            text = said.read()
        _, status = os.waitpid(self._child, 0)
        assert status == 0
        return text


def filled(writer: StreamWriter) -> list[object]:
    """A writer with two records, and with rows that wait in its appender."""
    appender = writer.appender(rows=1000, deadline_secs=HOUR_SECS)
    writer.append(0, 0)
    for number in range(1 + WAITING):
        appender.append(number)
    return [writer, appender]


def values(record: Record) -> list[int]:
    return record.columns()["x"].tolist()


def test_a_copy_that_is_dropped_changes_nothing(scalar_spec, tmp_path):
    held = filled(StreamWriter.create(tmp_path, scalar_spec, capacity_bytes=1 << 20))
    reader = StreamReader.open(held[0].path)
    assert reader.next_sequence == 2
    child = Fork(held.clear)
    for number in range(9):
        held[0].append(number, 100 + number)
    before = reader.statistics()
    assert (before.next_sequence, before.rows) == (12, 11 + WAITING)
    assert child.ended() == "None"
    assert reader.statistics() == before
    assert held[0].append(9, 109) == 12
    assert [values(reader.read(n)) for n in (2, 11, 12)] == [[1, 2, 3, 4], [108], [109]]
    held[0].close()


def test_a_copy_that_is_closed_does_not_end_the_stream(make_writer, scalar_spec):
    writer, _ = filled(make_writer(scalar_spec))
    reader = StreamReader.open(writer.path)

    def leave() -> None:
        with writer:
            pass

    assert f"process {os.getpid()}" in Fork(leave).ended()
    assert reader.writer_alive
    assert not reader.statistics().closed
    assert reader.next_sequence == 2
    writer.append(1, 7)
    assert [values(reader.read(n)) for n in (2, 3)] == [[1, 2, 3, 4], [7]]


@pytest.mark.parametrize("verb", ["append", "rows", "appended", "flush", "close", "statistics"])
def test_a_copy_refuses_in_words(make_writer, scalar_spec, verb):
    writer, appender = filled(make_writer(scalar_spec))
    verbs = {
        "append": lambda: writer.append(5, 5),
        "rows": lambda: writer.write_rows(range(20_000), {"x": np.arange(20_000)}),
        "appended": lambda: appender.append(5),
        "flush": appender.flush,
        "close": writer.close,
        "statistics": writer.statistics,
    }
    said = Fork(verbs[verb]).ended()
    assert said.startswith("ClosedStreamError")
    assert f"only process {os.getpid()}, which made this ring, writes it" in said
    assert "make a writer of your own" in said
    assert StreamReader.open(writer.path).next_sequence == 2
    assert not writer.closed


def test_a_copy_says_that_it_is_closed(make_writer, scalar_spec):
    writer, _ = filled(make_writer(scalar_spec))
    assert Fork(lambda: writer.closed).ended() == "True"


def test_a_loan_is_committed_by_the_process_that_took_it(make_writer, samples_spec):
    writer = make_writer(samples_spec)
    with writer.loan(2) as loan:
        loan.array[:] = 3

        def commit() -> None:
            with loan:
                loan.commit(0)

        assert Fork(commit).ended().startswith("ClosedStreamError")
        assert StreamReader.open(writer.path).next_sequence == 0
        assert loan.commit(0) == 0
    assert StreamReader.open(writer.path).read(0).columns()["samples"].tolist() == [[3] * 4] * 2


def test_a_fork_makes_a_writer_of_its_own(make_writer, scalar_spec, tmp_path):
    filled(make_writer(scalar_spec))

    def write() -> int:
        with StreamWriter.create(tmp_path, scalar_spec, capacity_bytes=4096) as own:
            own.append(0, 5)
            return own.append(1, 6)

    assert Fork(write).ended() == "1"
    second = StreamReader.open(tmp_path / "scalar.00000002.ring")
    assert [values(second.read(n)) for n in range(2)] == [[5], [6]]
    assert second.statistics().closed
