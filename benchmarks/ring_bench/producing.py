"""Writing: scalars, records, blocks, frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.ring_bench.figure import Effort, Figure, in_turn, nanos_each, without_collections
from benchmarks.ring_bench.limits import Limits
from benchmarks.ring_bench.probe import nanos_after_pauses
from benchmarks.ring_bench.rings import CAMERA, EEG, MIB, SCALAR, make, record_bytes
from ringdaq.streams import StreamWriter

ROWS_A_BATCH = 256
SCALAR_BYTES = 64 * MIB
ROW_BYTES = 448
"""A record of one row with its frame and its entry in the index."""
LARGE_BYTES = 256 * MIB
"""Larger than the caches."""
LOAN_MICROS = 5.0
BLOCK = np.linspace(-1, 1, 400 * 32, dtype=np.float32).reshape(400, 32)
IMAGE = (np.arange(2048 * 2048, dtype=np.uint32) % 4096).astype(np.uint16).reshape(2048, 2048)


def measure(directory: Path, limits: Limits, effort: Effort) -> list[Figure]:
    """All figures of writing."""
    return [
        append_scalar(directory, limits, effort),
        record_1row(directory, limits, effort),
        block_51k(directory, limits, effort),
        *frames_8m(directory, limits, effort),
    ]


def append_scalar(directory: Path, limits: Limits, effort: Effort) -> Figure:
    """Rows appended one by one, and batched into records by the ring."""
    count, calls = effort.count(20_000), effort.count(10)
    with (
        make(directory, SCALAR, SCALAR_BYTES) as writer,
        writer.appender(rows=ROWS_A_BATCH) as appender,
    ):

        def work(rows: int) -> None:
            append = appender.append
            for _ in range(rows):
                append(1.5)

        if effort.share == 1.0:
            # Once around: the limit's file is touched before it is measured, too.
            work(SCALAR_BYTES // 16)

        def limit() -> float:
            return limits.run("append", SCALAR_BYTES, ROWS_A_BATCH, max(10_000, 5 * count))[0]

        value, limit_nanos = in_turn(effort, lambda: nanos_each(work, count), limit)
        idle, idle_limit, idle_call = in_turn(
            effort,
            lambda: nanos_after_pauses(lambda: appender.append(1.5), calls),
            lambda: limits.run("idle", SCALAR_BYTES, ROW_BYTES, calls)[0],
            lambda: nanos_after_pauses(lambda: None, calls),
            paused=True,
        )
    file, message = _pyarrow_nanos(effort.count(2000))
    return Figure(
        "append_scalar", "scalar row from Python, stamped and batched", value, "ns", limit_nanos,
        "C loop: clock, two stores, copy of the batch", value / limit_nanos,
        "≤ 150 ns; ≤ 3 µs after 1 ms idle", value <= 150 and idle <= 3000,
        {"pyarrow file format": file, "pyarrow serialize": message},
        {
            "after_1ms_idle_ns": idle, "c_loop_after_1ms_idle_ns": idle_limit,
            "python_call_of_nothing_after_1ms_idle_ns": idle_call,
        },
    )  # fmt: skip


def _pyarrow_nanos(count: int) -> tuple[float, float]:
    """A row as a pyarrow batch: written in the file format, and serialized as a message."""
    schema = pa.schema([("time", pa.timestamp("ns", "UTC")), ("value", pa.float64())])

    def batch() -> pa.RecordBatch:
        return pa.record_batch([[time.time_ns()], [1.5]], schema=schema)

    def file(rows: int) -> None:
        for _ in range(rows):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_file(sink, schema) as out:
                out.write_batch(batch())
            sink.getvalue()

    def message(rows: int) -> None:
        for _ in range(rows):
            batch().serialize()

    with without_collections():
        return nanos_each(file, count), nanos_each(message, count)


def record_1row(directory: Path, limits: Limits, effort: Effort) -> Figure:
    """A record a row, committed one by one."""
    count = effort.count(5000)
    with make(directory, SCALAR, SCALAR_BYTES) as writer:
        for number in range(100):
            writer.append(number, 1.5)
        size = record_bytes(writer)

        def work(records: int) -> None:
            append = writer.append
            for number in range(records):
                append(number, 1.5)

        value, limit = in_turn(
            effort,
            lambda: nanos_each(work, count),
            lambda: limits.copy_nanos(writer.path, SCALAR_BYTES, size, max(10_000, count)),
        )
    _, serialize = _pyarrow_nanos(effort.count(2000))
    return Figure(
        "record_1row", "1-row Arrow record committed from Python", value, "ns", limit,
        f"C loop: memcpy of its {size} bytes", value / limit, "≤ 500 ns", value <= 500,
        {"pyarrow serialize": serialize},
    )  # fmt: skip


def block_51k(directory: Path, limits: Limits, effort: Effort) -> Figure:
    """Blocks of samples copied in."""
    count = effort.count(400)
    with make(directory, EEG, LARGE_BYTES) as writer:
        value, limit = _against_memcpy(
            writer, lambda number: writer.write_block(number, BLOCK), count, limits, effort
        )
    return Figure(
        "block_51k", "51.2 KB block copied into a 256 MiB ring", value / 1e3, "us", limit / 1e3,
        "C loop: memcpy of the same bytes to the same memory", value / limit,
        "≤ 1.3 × memcpy", value <= 1.3 * limit,
    )  # fmt: skip


def _against_memcpy(
    writer: StreamWriter, write: Callable[[int], object], count: int, limits: Limits, effort: Effort
) -> tuple[float, float]:
    """Writing from Python and copying in C, in ns, in rings whose pages were all touched before."""

    def work(records: int) -> None:
        for number in range(records):
            write(number)

    work(5)
    size = record_bytes(writer)
    if effort.share == 1.0:
        work(LARGE_BYTES // size + 1)
    value, limit = in_turn(
        effort,
        lambda: nanos_each(work, count),
        lambda: limits.copy_nanos(writer.path, LARGE_BYTES, size, count),
    )
    return value, limit


def frames_8m(directory: Path, limits: Limits, effort: Effort) -> list[Figure]:
    """Frames copied in, and frames that are filled where they lie."""
    count = effort.count(5)
    with make(directory, CAMERA, LARGE_BYTES) as writer:
        copied, limit = _against_memcpy(
            writer, lambda number: writer.write_frame(number, IMAGE), count, limits, effort
        )
        loaned, filled, filling = in_turn(
            effort,
            lambda: nanos_each(lambda frames: _loan(writer, frames, fill=False), effort.count(500)),
            lambda: nanos_each(lambda frames: _loan(writer, frames, fill=True), count),
            lambda: limits.copy_nanos(writer.path, LARGE_BYTES, IMAGE.nbytes, count),
        )
    return [
        Figure(
            "frame_8m_copy", "8 MiB frame copied into a 256 MiB ring", copied / 1e3, "us",
            limit / 1e3, "C loop: memcpy of the same bytes to the same memory", copied / limit,
            "≤ 1.15 × memcpy", copied <= 1.15 * limit,
        ),
        Figure(
            "frame_8m_loan", "8 MiB frame loaned and committed, beyond filling it", loaned / 1e3,
            "us", LOAN_MICROS, "what is allowed: nothing is copied", loaned / 1e3 / LOAN_MICROS,
            "≤ 5 µs beyond filling it", loaned / 1e3 <= LOAN_MICROS,
            more={"with_filling_us": filled / 1e3, "memcpy_us": filling / 1e3},
        ),
    ]  # fmt: skip


def _loan(writer: StreamWriter, frames: int, *, fill: bool) -> None:
    for number in range(frames):
        with writer.loan() as loan:
            if fill:
                loan.array[...] = IMAGE
            loan.commit(number)
