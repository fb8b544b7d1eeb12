"""Reading: the newest record, and a window of a minute."""

from __future__ import annotations

import json
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.ring_bench.figure import Effort, Figure, in_turn, nanos_each
from benchmarks.ring_bench.limits import Limits
from benchmarks.ring_bench.rings import MIB, SCALAR, make
from ringdaq.streams import StreamReader, StreamWriter

ROWS, RECORDS = 100, 100
"""Of a record, and of a ring, when records are taken one by one."""
ROWS_PER_SEC = 10_000
WINDOW_SECS = 60
WINDOW_BYTES = 192 * MIB
HEADER_BYTES, CAPACITY_AT, INDEX_AT = 128, 8, 96
"""As docs/reference/ring-layout.md has them."""
RECORD_ROWS = 10
"""What a millisecond's batch holds at that rate."""


def measure(directory: Path, limits: Limits, effort: Effort) -> list[Figure]:
    """All figures of reading."""
    return [latest(directory, effort), window_60s(directory, limits, effort)]


def _fill(writer: StreamWriter, rows: int, record_rows: int) -> None:
    """Rows at 10 kHz that end now, in records of so many."""
    step = 1_000_000_000 // ROWS_PER_SEC
    values = {"value": np.linspace(0, 1, record_rows)}
    times = np.arange(record_rows, dtype=np.int64) * step + time.time_ns() - rows * step
    for record in range(rows // record_rows):
        writer.write_rows(times + record * record_rows * step, values)


def latest(directory: Path, effort: Effort) -> Figure:
    """The newest record as a pyarrow batch whose columns lie in the ring."""
    count = effort.count(800)
    with make(directory, SCALAR, MIB) as writer:
        _fill(writer, RECORDS * ROWS, ROWS)
        with StreamReader.open(writer.path) as reader:
            message = pa.py_buffer(reader.read(0).payload)
            schema = reader.read(0).to_arrow().schema
            stream = _stream_of(schema, reader.read(0).to_arrow())

            def work(records: int) -> None:
                view = reader.view
                for _ in range(records):
                    with view() as record:
                        record.to_arrow()

            def one_by_one(records: int) -> None:
                for number in range(records):
                    with reader.view(number % RECORDS) as record:
                        record.to_arrow()

            def known(records: int) -> None:
                read = pa.ipc.read_record_batch
                for _ in range(records):
                    read(message, schema)

            def opened(records: int) -> None:
                for _ in range(records):
                    pa.ipc.open_stream(stream).read_next_batch()

            value, each, limit, peer = in_turn(
                effort,
                *(lambda w=w: nanos_each(w, count) for w in (work, one_by_one, known, opened)),
            )
    rows_per_sec = ROWS / each * 1e9
    return Figure(
        "latest", "newest record as a zero-copy pyarrow batch, verified", value / 1e3, "us",
        limit / 1e3, "pyarrow's read_record_batch alone, schema known", value / limit,
        "≤ 2.5 µs; ≥ 20 M rows/s at 100 rows a record", value <= 2500 and rows_per_sec >= 20e6,
        {"pyarrow open_stream": peer / 1e3}, {"rows_per_sec": rows_per_sec},
    )  # fmt: skip


def _stream_of(schema: pa.Schema, batch: pa.RecordBatch) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as out:
        out.write_batch(batch)
    return sink.getvalue()


def window_60s(directory: Path, limits: Limits, effort: Effort) -> Figure:
    """A minute of rows in another process: how soon, at what cost."""
    rows = effort.count(ROWS_PER_SEC * WINDOW_SECS)
    with make(directory, SCALAR, WINDOW_BYTES) as writer:
        _fill(writer, max(RECORD_ROWS, rows + rows // 10), RECORD_ROWS)
        found = [_window(writer.path) for _ in range(effort.rounds)]
        limit = statistics.median(_search(writer, limits) for _ in range(effort.rounds))
    first, grown, all_secs = (statistics.median(f[i] for f in found) for i in range(3))
    seen = int(found[0][3])
    return Figure(
        "window_60s", f"first rows of a window of {seen:,} rows, in another process", first / 1e6,
        "ms", limit / 1e6, "C: map, binary search, first value", first / limit,
        "first rows ≤ 1 ms, RSS + < 2 MB, 0 bytes copied", first <= 1e6 and grown < 2e6, {},
        {"rss_grown_bytes": grown, "bytes_copied": 0.0, "all_rows_secs": all_secs},
    )  # fmt: skip


def _search(writer: StreamWriter, limits: Limits) -> float:
    """The same search in C, on the same ring."""
    header = writer.path.open("rb").read(HEADER_BYTES)
    (capacity,) = struct.unpack_from("<Q", header, CAPACITY_AT)
    at, entries = struct.unpack_from("<QQ", header, INDEX_AT)
    now = writer.statistics()
    wanted = (now.last_nanos or 0) - WINDOW_SECS * 1_000_000_000
    numbers = (at, entries, now.oldest_sequence, now.next_sequence, wanted, HEADER_BYTES, capacity)
    return limits.run("find", *numbers, file=writer.path)[0]


def _window(path: Path) -> list[float]:
    command = [sys.executable, "-m", "benchmarks.ring_bench.consuming", str(path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found: list[float] = json.loads(done.stdout)
    return found


def _memory_bytes() -> int:
    """Resident memory of this process, shared pages included."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def _look(path: Path) -> None:
    """The other process: open the window, take the first rows; then read all of it."""
    with StreamReader.open(path) as reader:
        with reader.view() as record:
            record.columns()
        before, begun = _memory_bytes(), time.perf_counter_ns()
        with reader.view(window_secs=WINDOW_SECS) as window:
            first = window[0].columns()["value"]
            taken = time.perf_counter_ns() - begun
            grown = _memory_bytes() - before
            if not first.size:
                raise RuntimeError("the window's first record has no rows")
            begun = time.perf_counter_ns()
            rows = sum(record.rows for record in window)
            all_nanos = time.perf_counter_ns() - begun
    print(json.dumps([taken, grown, all_nanos / 1e9, rows]))


if __name__ == "__main__":
    _look(Path(sys.argv[1]))
