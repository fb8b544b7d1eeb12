"""Waking: how soon, at what cost to the writer, at what cost to the machine."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.apart import apart, two_processors
from benchmarks.measure import quantile
from benchmarks.ring_bench.figure import Effort, Figure, in_turn, turns
from benchmarks.ring_bench.limits import Limits
from benchmarks.ring_bench.producing import BLOCK
from benchmarks.ring_bench.rings import EEG, MIB, SCALAR, make
from ringdaq.clock import boot_anchor
from ringdaq.streams import StreamReader, StreamWriter

WAKE_ROUNDS = 3
"""As many times the rounds, as the machine's own wake-up swings by a fifth and more."""
SLEEPERS = 8
IDLE_SECS, IDLE_ROUNDS = 3.0, 3
CPU_MICROS = 65.0
IDLE_PERCENT = 0.1
BLOCK_NANOS = 399 * 250_000
"""From the first to the last of a block's 400 rows; readers look at the last one's time."""
LOOKS = 100_000
"""How often a spinning reader looks before it asks whether the writer still lives."""


def measure(directory: Path, limits: Limits, effort: Effort) -> list[Figure]:
    """All figures of waking."""
    spun, slept = spin(directory, limits, effort), sleepers_8(directory, limits, effort)
    # Last, as it needs calm for longer than there may be patience.
    woken, cpu = wake_and_cpu(directory, limits, effort)
    return [woken, spun, slept, cpu]


@contextmanager
def readers(
    path: Path, count: int, way: str, told: int = 0, anchor_nanos: int = 0
) -> Iterator[list[subprocess.Popen[str]]]:
    """Other processes that read a ring until it is closed; told of so many rows at a time.

    The ring's times are those of the monotonic clock, later by the anchor.
    """
    arguments = [str(path), way, str(told), str(anchor_nanos)]
    command = [sys.executable, "-m", "benchmarks.ring_bench.waking", *arguments]
    children = [_child(command) for _ in range(count)]
    try:
        for child in children:
            _hear(child)
        yield children
    finally:
        for child in children:
            child.communicate(timeout=30)


def _child(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _hear(child: subprocess.Popen[str]) -> str:
    """The child's next line."""
    assert child.stdout is not None
    return child.stdout.readline()


def _result(child: subprocess.Popen[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = json.loads(_hear(child))
    return found


def _paced(count: int, period_secs: float) -> Iterator[int]:
    """Count up at a fixed pace, asleep between."""
    due = time.monotonic()
    for number in range(count):
        due += period_secs
        time.sleep(max(0.0, due - time.monotonic()))
        yield number


@contextmanager
def _exchange(
    directory: Path, count: int, places: tuple[int, ...] = (), *, by_hand: bool = False
) -> Iterator[Callable[[], tuple[list[int], float]]]:
    """64 B at 1 kHz to a sleeping reader, so many at a time, stamped by the ring or by hand.

    Each call gives delays in ns, and the processor time of both ends in ns a message.
    """
    writer = make(directory, SCALAR, MIB)
    append, anchor = writer.appender(rows=1).append, 0 if by_hand else boot_anchor()

    def write() -> None:
        if by_hand:
            writer.append(time.monotonic_ns(), 1.5)
        else:
            append(1.5)

    def exchange() -> tuple[list[int], float]:
        used = time.process_time_ns()
        for _ in _paced(count, 0.001):
            write()
        used = time.process_time_ns() - used
        found = _result(child)
        return found["late"], used / count + found["used"][0] / max(1, count - 1)

    with readers(writer.path, 1, "sleep", count, anchor) as (child,), apart(child, places):
        try:
            yield exchange
        finally:
            writer.close()


def _processor_nanos(pid: int) -> int:
    """Processor time that another process has used; its clock's number as in Linux's own header."""
    return time.clock_gettime_ns(~pid << 3 | 2)


def _idle_percent(directory: Path, effort: Effort) -> float:
    """Processor time of a reader that waits for a silent writer, in percent of a core."""
    secs = IDLE_SECS * min(1.0, effort.share * 10)
    writer = make(directory, SCALAR, MIB)

    def share() -> float:
        before, used = time.monotonic_ns(), _processor_nanos(child.pid)
        time.sleep(secs)
        used = _processor_nanos(child.pid) - used
        return used / (time.monotonic_ns() - before)

    with readers(writer.path, 1, "sleep") as (child,):
        found = statistics.median(share() for _ in range(IDLE_ROUNDS))
        writer.close()
        _result(child)
    return found * 100


def wake_and_cpu(directory: Path, limits: Limits, effort: Effort) -> tuple[Figure, Figure]:
    """A reader asleep in another process: its delay, and what a message costs both ends."""
    return _wake(directory, limits, effort), _cpu_1khz(directory, limits, effort)


def _wake(directory: Path, limits: Limits, effort: Effort) -> Figure:
    count, places = effort.count(100), two_processors()
    late: list[int] = []

    with (
        _exchange(directory, count, places) as exchange,
        _exchange(directory, count, places, by_hand=True) as exchange_by_hand,
    ):

        def one_round() -> tuple[float, ...]:
            bare = limits.run("wake", 1, count, 1_000_000, 64, *places)[0]
            delays, _ = exchange()
            late.extend(delays)
            found, by_hand = (quantile(of, 0.5) for of in (delays, exchange_by_hand()[0]))
            return found, bare, found / bare, by_hand, by_hand / bare

        many = replace(effort, rounds=effort.rounds * WAKE_ROUNDS)
        [[value, limit, ratio, by_hand, by_hand_ratio]] = turns(
            many, one_round, paused=True, places=places
        )
    _, bare99, *_ = limits.run("wake", 1, effort.count(1000), 1_000_000, 64, *places)
    return Figure(
        "wake", "newest record seen by a reader asleep on another core, p50", value / 1e3, "us",
        limit / 1e3, "C: bare futex wake of another core at the same pace, p50", ratio,
        "≤ 1.2 × bare futex", ratio <= 1.2, {},
        {
            "p99_us": quantile(late, 0.99) / 1e3, "limit_p99_us": bare99 / 1e3,
            "stamped_in_python_us": by_hand / 1e3, "stamped_in_python_ratio": by_hand_ratio,
        },
    )  # fmt: skip


def _cpu_1khz(directory: Path, limits: Limits, effort: Effort) -> Figure:
    count = effort.count(100)
    with _exchange(directory, count) as exchange:
        spent, bare_spent = in_turn(
            effort,
            lambda: exchange()[1],
            lambda: limits.run("wake", 1, count, 1_000_000, 64)[3],
            paused=True,
        )
    idle = _idle_percent(directory, effort)
    return Figure(
        "cpu_1khz", "processor time of both ends for a 64 B message at 1 kHz", spent / 1e3, "us",
        bare_spent / 1e3, "C: one timer wake and one futex wake", spent / bare_spent,
        "≤ 65 µs; an idle system ≤ 0.1 % of a core",
        spent <= CPU_MICROS * 1e3 and idle <= IDLE_PERCENT, {}, {"idle_reader_percent": idle},
    )  # fmt: skip


def spin(directory: Path, limits: Limits, effort: Effort) -> Figure:
    """A reader that never sleeps, in another process."""
    count, places = effort.count(100), two_processors()
    with (
        make(directory, SCALAR, MIB) as writer,
        readers(writer.path, 1, "spin", count) as (child,),
        apart(child, places),
    ):

        def exchange() -> float:
            assert child.stdin is not None
            print("look", file=child.stdin, flush=True)
            _hear(child)
            for _ in range(count):
                _busy(100_000)
                writer.append(time.monotonic_ns(), 1.5)
            return quantile(_result(child)["late"], 0.5)

        value, limit = (
            nanos / 1e3
            for nanos in in_turn(
                effort,
                exchange,
                lambda: limits.run("spin", max(100, count), 100_000, *places)[0],
                places=places,
            )
        )
    return Figure(
        "spin", "the same, seen by a spinning reader in Python, p50", value, "us", limit,
        "C: cache-line hand-off to a spinning process", value / limit, "≤ 2 µs", value <= 2.0,
    )  # fmt: skip


def _busy(nanos: int) -> None:
    until = time.monotonic_ns() + nanos
    while time.monotonic_ns() < until:
        pass


def _write_costs(writer: StreamWriter, count: int) -> float:
    """The median cost of writing a 51.2 KB block at 2 kHz, in ns."""
    costs = []
    for _ in _paced(count, 0.0005):
        first = time.monotonic_ns() - BLOCK_NANOS
        before = time.perf_counter_ns()
        writer.write_block(first, BLOCK)
        costs.append(time.perf_counter_ns() - before)
    return statistics.median(costs)


@contextmanager
def _blocks(
    directory: Path, sleepers: int, count: int
) -> Iterator[Callable[[], tuple[float, float]]]:
    """51.2 KB at 2 kHz to sleeping readers, so many at a time.

    Each call gives medians in ns: of writing a block, and of the delay until a reader has it.
    """
    writer = make(directory, EEG, 64 * MIB)
    _fill(writer)

    def write() -> tuple[float, float]:
        cost = _write_costs(writer, count)
        late = [nanos for child in children for nanos in _result(child)["late"]]
        return cost, quantile(late, 0.5) if late else 0.0

    with readers(writer.path, sleepers, "sleep", count * len(BLOCK)) as children:
        try:
            yield write
        finally:
            writer.close()


def _fill(writer: StreamWriter) -> None:
    """Touch every page once."""
    for number in range(64 * MIB // BLOCK.nbytes + 1):
        writer.write_block(number, BLOCK)


def sleepers_8(directory: Path, limits: Limits, effort: Effort) -> Figure:
    """What the writer pays for eight readers that sleep."""
    count = effort.count(50)

    def bare(sleepers: int) -> float:
        return limits.run("wake", sleepers, count, 500_000, BLOCK.nbytes)[2]

    with (
        _blocks(directory, 0, count) as alone,
        _blocks(directory, SLEEPERS, count) as watched,
    ):
        (value, late), (limit, _), (bare_alone,), (bare_all,) = turns(
            effort, watched, alone, lambda: [bare(0)], lambda: [bare(SLEEPERS)], paused=True
        )
    return Figure(
        "sleepers_8", "writing a 51.2 KB block at 2 kHz with 8 sleeping readers, p50", value / 1e3,
        "us", limit / 1e3, "the same without a reader", value / limit, "≤ 1.5 × without readers",
        value <= 1.5 * limit, {},
        {
            "readers_delay_us": late / 1e3, "c_loop_alone_us": bare_alone / 1e3,
            "c_loop_8_us": bare_all / 1e3,
        },
    )  # fmt: skip


def _ready() -> None:
    """Say that whatever is written from now on will be seen."""
    print("ready", flush=True)


def _tell(late: list[int], used: int) -> None:
    print(json.dumps({"late": late, "used": [used]}), flush=True)


def _sleep_on(reader: StreamReader, told: int, anchor_nanos: int) -> None:
    """Delays of records in ns, and processor time since the first of those that are told of."""
    clock, late, rows = time.monotonic_ns, list[int](), 0
    records = reader.follow("newest", timeout=30.0)
    _ready()
    used = time.process_time_ns()
    for record in records:
        seen = clock()
        late.append(seen + anchor_nanos - record.last_nanos)
        if len(late) == 1:
            used = time.process_time_ns()
        rows += record.rows
        if rows >= told > 0:
            _tell(late, time.process_time_ns() - used)
            late.clear()
            rows = 0
    _tell(late, time.process_time_ns() - used)


def _spin_on(reader: StreamReader, told: int) -> None:
    """The same, never asleep from a line of the input until so many records were seen."""
    _ready()
    for _ in sys.stdin:
        _tell(_spun(reader, told), 0)


def _spun(reader: StreamReader, told: int) -> list[int]:
    """Delays in ns until so many records are written; some may be written over unseen."""
    late: list[int] = []
    clock, seen = time.monotonic_ns, reader.next_sequence
    end = seen + told
    _ready()
    while seen < end and reader.writer_alive:
        for _ in range(LOOKS):
            if reader.next_sequence != seen:
                with reader.view() as record:
                    late.append(clock() - record.last_nanos)
                    seen = record.sequence + 1
                if seen >= end:
                    break
    return late


def _read(path: Path, way: str, told: int, anchor_nanos: int) -> None:
    with StreamReader.open(path) as reader:
        if way == "sleep":
            _sleep_on(reader, told, anchor_nanos)
        else:
            _spin_on(reader, told)


if __name__ == "__main__":
    _read(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
