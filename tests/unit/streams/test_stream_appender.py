"""Rows that are appended one by one: nothing is lost, nothing waits for long, times ascend."""

import os
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from ringdaq.clock import now_nanos
from ringdaq.errors import ClosedStreamError, StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import Appender, StreamReader

FOREVER_SECS = 3600.0
PATIENCE_SECS = 30.0


def sleeps(thread: str) -> int:
    """How often a thread of this process has gone to sleep."""
    status = Path(f"/proc/self/task/{thread}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def rows_of(reader: StreamReader) -> list[dict[str, list]]:
    records = [reader.read(n) for n in range(reader.next_sequence)]
    return [{k: v.tolist() for k, v in record.columns().items()} for record in records]


def values(reader: StreamReader, name: str = "x") -> list:
    return [value for record in rows_of(reader) for value in record[name]]


def test_a_row_after_a_pause_is_there_at_once(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    appender = writer.appender(deadline_secs=FOREVER_SECS)
    before = now_nanos()
    appender.append(7)
    with StreamReader.open(writer.path) as reader:
        record = reader.read(0)
        assert record.columns()["x"].tolist() == [7]
        assert before <= record.first_nanos == record.last_nanos <= now_nanos()


def test_rows_that_follow_become_records_of_so_many(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    appender = writer.appender(rows=10, deadline_secs=FOREVER_SECS)
    for number in range(35):
        appender.append(number)
    with StreamReader.open(writer.path) as reader:
        assert [len(record["x"]) for record in rows_of(reader)] == [1, 10, 10, 10]
        appender.flush()
        assert values(reader) == list(range(35))
        times = values(reader, "time")
        assert times == sorted(times)
        assert writer.statistics().rows == 35


def test_a_row_waits_for_the_deadline_only(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    appender = writer.appender(rows=1000, deadline_secs=0.001)
    with StreamReader.open(writer.path) as reader:
        for number in range(20):
            appender.append(number)
            appender.append(-number)
            wanted, seen = 2 * (number + 1), 0
            following = 0
            while seen < wanted:
                assert reader.wait(following, PATIENCE_SECS)
                seen += reader.read(following).rows
                following += 1
        assert values(reader) == [x for n in range(20) for x in (n, -n)]


def test_while_rows_keep_coming_no_thread_wakes_up_for_them(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, capacity_bytes=16 << 20)
    others = set(os.listdir("/proc/self/task"))
    deadline_secs = 0.04
    appender = writer.appender(rows=200_000, deadline_secs=deadline_secs)
    (flusher,) = set(os.listdir("/proc/self/task")) - others
    with StreamReader.open(writer.path) as reader:
        for _ in range(100):
            before, longest = sleeps(flusher), append_until(reader, appender, records=5)
            if longest < deadline_secs / 4:  # else the other thread had to come
                break
        else:
            pytest.fail("this machine is too busy to tell")
        assert sleeps(flusher) - before <= 1  # its first sleep may be among them


def append_until(reader: StreamReader, appender: Appender, *, records: int) -> float:
    """Append rows until there are so many more records; the longest time between two, in s."""
    longest, last = 0.0, time.monotonic()
    until = reader.next_sequence + records
    while reader.next_sequence < until:
        appender.append(0)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


def test_what_else_is_written_comes_after_rows_that_wait(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    with writer.appender(deadline_secs=FOREVER_SECS) as appender:
        appender.append(0)
        appender.append(1)
        writer.append(5, 2)
        appender.append(3)
        writer.write_rows([6, 7], {"x": [4, 5]})
        appender.append(6)
    with StreamReader.open(writer.path) as reader:
        assert values(reader) == [0, 1, 2, 3, 4, 5, 6]


def test_the_end_of_the_ring_commits_them(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    appender = writer.appender(deadline_secs=FOREVER_SECS)
    for number in range(5):
        appender.append(number)
    writer.close()
    with StreamReader.open(writer.path) as reader:
        assert values(reader) == [0, 1, 2, 3, 4]
    with pytest.raises(ClosedStreamError):
        appender.append(5)


def test_missing_values_and_text_are_records_of_their_own(make_writer, rows_spec):
    writer = make_writer(rows_spec)
    appender = writer.appender(deadline_secs=FOREVER_SECS)
    appender.append(1.5, 2, True, "fine")
    appender.append(None, 3, False, None)
    with StreamReader.open(writer.path) as reader:
        assert [record["note"] for record in rows_of(reader)] == [["fine"], [None]]
        assert reader.read(1).masks()["power"].tolist() == [True]


def test_every_fixed_type_and_a_gap_between(make_writer):
    types = ("int8", "uint64", "float32", "float64", "bool")
    spec = StreamSpec("many", "rows", tuple(Channel(name, name) for name in types))
    writer = make_writer(spec)
    appender = writer.appender(rows=1000, deadline_secs=FOREVER_SECS)
    for n in range(100):
        appender.append(n % 100, n, n / 2, n / 4, n % 3 == 0)
        if n == 50:
            appender.append(None, n, 0, 0, True)
    appender.flush()
    with StreamReader.open(writer.path) as reader:
        found = rows_of(reader)
    joined = {name: [v for record in found for v in record[name]] for name in types}
    assert joined["uint64"] == [*range(51), 50, *range(51, 100)]
    wanted = [n % 3 == 0 for n in range(100)]
    assert joined["bool"] == [*wanted[:51], True, *wanted[51:]]
    assert joined["float64"][-1] == 99 / 4


def test_a_value_that_does_not_fit_leaves_no_row(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    appender = writer.appender(deadline_secs=FOREVER_SECS)
    appender.append(0)
    appender.append(1)
    for nonsense in ((1 << 70,), ("text",), (1, 2), ()):
        with pytest.raises(StreamError, match="scalar"):
            appender.append(*nonsense)
    appender.append(2)
    appender.flush()
    with StreamReader.open(writer.path) as reader:
        assert values(reader) == [0, 1, 2]


@pytest.mark.parametrize("row", [(), (1, 2)], ids=["too few", "too many"])
def test_rows_of_another_length_are_refused(make_writer, scalar_spec, row):
    writer = make_writer(scalar_spec)
    appender = writer.appender(deadline_secs=FOREVER_SECS)
    with pytest.raises(StreamError, match=f"needs 1 values; found {len(row)}"):
        appender.append(*row)
    with pytest.raises(TypeError, match="keyword"):
        appender.append(x=1)
    appender.append(7)
    with StreamReader.open(writer.path) as reader:
        assert values(reader) == [7]


def test_it_keeps_nothing_of_what_it_was_given(make_writer, scalar_spec):
    appender = make_writer(scalar_spec).appender(deadline_secs=FOREVER_SECS)
    value, text = 1 << 40, "no number" * 2
    before = sys.getrefcount(value), sys.getrefcount(text)
    for _ in range(1000):
        appender.append(value)
        with pytest.raises(StreamError):
            appender.append(text)
    assert (sys.getrefcount(value), sys.getrefcount(text)) == before


def test_it_keeps_no_error_of_a_value(make_writer):
    spec = StreamSpec("bad", "rows", (Channel("x", "float64"),))
    raised: list[weakref.ref[BaseException]] = []

    class BadError(Exception):
        pass

    class Bad:
        def __float__(self) -> float:
            error = BadError("no value today")
            raised.append(weakref.ref(error))
            raise error

    appender = make_writer(spec).appender(deadline_secs=FOREVER_SECS)
    for _ in range(100):
        with pytest.raises(StreamError, match="no value today"):
            appender.append(Bad())
    assert sum(ref() is not None for ref in raised) <= 1


def test_the_way_in_outlives_who_gave_it(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    append = writer.appender(deadline_secs=FOREVER_SECS).append
    append(7)
    writer.close()
    with pytest.raises(ClosedStreamError):
        append(8)
    with StreamReader.open(writer.path) as reader:
        assert values(reader) == [7]


def test_appenders_that_make_no_sense_are_refused(make_writer, scalar_spec, samples_spec):
    with pytest.raises(StreamError, match="at least a row"):
        make_writer(scalar_spec).appender(rows=0)
    with pytest.raises(StreamError, match="rows need a stream of rows"):
        make_writer(samples_spec).appender()
    small = make_writer(scalar_spec, capacity_bytes=4096)
    for rows in (1000, 1 << 60):
        with pytest.raises(StreamError):
            small.appender(rows=rows)
    small.appender(rows=10)
    with pytest.raises(StreamError, match="has an appender"):
        small.appender(rows=10)


def test_threads_may_share_it(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, capacity_bytes=16 << 20)
    appender = writer.appender(rows=7)

    def work(first: int) -> None:
        for number in range(first, first + 2000):
            appender.append(number)

    threads = [threading.Thread(target=work, args=(n * 2000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.statistics().rows == 8000
    with StreamReader.open(writer.path) as reader:
        found = values(reader)
        assert sorted(found) == list(range(8000))
        times = values(reader, "time")
        assert times == sorted(times)
    for n in range(4):
        own = [x for x in found if n * 2000 <= x < (n + 1) * 2000]
        assert own == sorted(own)


WITHOUT_A_THREAD = """
import resource, sys
from pathlib import Path
from ringdaq.errors import StreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

spec = StreamSpec("x", "rows", (Channel("x", "int64"),))
writer = StreamWriter.create(Path(sys.argv[1]), spec, capacity_bytes=1 << 16)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
# Room for a little work, and not for the stack of a thread.
resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 20), resource.RLIM_INFINITY))
try:
    writer.appender()
except StreamError as error:
    print("refused", error)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
with writer.appender() as appender:
    appender.append(1)
    appender.append(2)
print(StreamReader.open(writer.path).statistics().rows)
"""


def test_an_appender_whose_rows_nobody_would_commit_in_time_is_refused(ring_directory):
    """Where no thread can be started; later, when one can, there may be an appender."""
    command = [sys.executable, "-c", WITHOUT_A_THREAD, str(ring_directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    refused, rows = done.stdout.splitlines()
    assert refused.startswith("refused")
    assert rows == "2"
