"""The ring: records per second from Python, and how soon another process has them."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.limits import futex_wake_nanos, memcpy_rate
from benchmarks.measure import Row, median_rate, pace, quantile
from ringdaq.clock import now_nanos
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

RING_BYTES = 64 << 20
SPEC = StreamSpec(name="bench", kind="rows", channels=(Channel("value", "float64", unit="W"),))


def _record_bytes(writer: StreamWriter, records: int) -> int:
    """How many bytes one record takes in the ring, framing included."""
    return max(64, writer.statistics().used_bytes // max(1, records))


def one_row(directory: Path) -> Row:
    """Commit Arrow records of one row, one call each."""
    count = 50_000
    with_one = StreamWriter.create(directory, SPEC, capacity_bytes=RING_BYTES)

    def work() -> int:
        append = with_one.append
        for number in range(count):
            append(number, 1.5)
        return count

    append_once = with_one.append(0, 1.5)
    size = _record_bytes(with_one, append_once + 1)
    rate, limit = median_rate(work), memcpy_rate(size)
    with_one.close()
    return Row(
        "records_1row", "1-row Arrow records from Python", rate, "1/s",
        limit, f"memcpy of the same {size} bytes", rate / limit,
    )  # fmt: skip


def hundred_rows(directory: Path) -> Row:
    """Commit Arrow records of a hundred rows, one call each."""
    count = 10_000
    writer = StreamWriter.create(directory, SPEC, capacity_bytes=RING_BYTES)
    times, values = np.arange(100, dtype=np.int64), {"value": np.linspace(0, 1, 100)}

    def work() -> int:
        for _ in range(count):
            writer.write_rows(times, values)
        return count

    first = writer.write_rows(times, values)
    size = _record_bytes(writer, first + 1)
    rate, limit = median_rate(work), memcpy_rate(size)
    writer.close()
    return Row(
        "records_100row", "100-row Arrow records from Python", rate, "1/s",
        limit, f"memcpy of the same {size} bytes", rate / limit, {"rows/s": rate * 100},
    )  # fmt: skip


def _reader(path: Path, count: int) -> None:
    """The other process: wait for each record, and note how late it has it."""
    with StreamReader.open(path) as reader:
        print("ready", flush=True)
        late: list[int] = []
        for record in reader.follow("oldest", timeout=10.0):
            late.append(now_nanos() - record.first_nanos)
            if len(late) == count:
                break
    print(json.dumps(late))


def latency(directory: Path, count: int = 3000) -> Row:
    """From an instrument's reply to the row in another process's hands, at 1000 rows a second."""
    writer = StreamWriter.create(directory, SPEC, capacity_bytes=RING_BYTES)
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.ring", str(writer.path), str(count)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()
    pace(0.001, count, lambda: void(writer.append(now_nanos(), 1.5)))
    late = json.loads(child.stdout.readline())[count // 10 :]
    child.wait(30)
    writer.close()
    wake = futex_wake_nanos()
    value, limit = quantile(late, 0.5) / 1e3, quantile(wake, 0.5) / 1e3
    more = {"p99": quantile(late, 0.99) / 1e3, "p99 of the limit": quantile(wake, 0.99) / 1e3}
    return Row(
        "latency", "instrument to reader in another process, p50", value, "us",
        limit, "futex wake of a sleeping process, p50", value / limit, more,
    )  # fmt: skip


def void(_: object) -> None:
    """Let a result go."""


def measure() -> list[Row]:
    """All figures of the ring."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="ringdaq-bench-") as name:
        directory = Path(name)
        return [one_row(directory), hundred_rows(directory), latency(directory)]


if __name__ == "__main__":
    _reader(Path(sys.argv[1]), int(sys.argv[2]))
