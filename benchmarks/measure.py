"""Figures with their limits: how they are taken, printed and kept."""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass
class Row:
    """One line of a result table."""

    id: str
    what: str
    value: float
    unit: str
    limit: float
    limit_is: str
    ratio: float
    """value ÷ limit."""
    more: dict[str, float] = field(default_factory=dict)
    """Further figures, such as a 99th percentile and that of the limit."""


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of the sorted values lie at or below (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def median_rate(work: Callable[[], int], rounds: int = 5) -> float:
    """How many things per second: the median of several rounds, each returning its count."""
    rates = []
    for _ in range(rounds):
        before = time.perf_counter()
        count = work()
        rates.append(count / (time.perf_counter() - before))
    return statistics.median(rates)


def pace(period_secs: float, count: int, step: Callable[[], None]) -> None:
    """Call `step` at a fixed period, sleeping between as an instrument's loop does."""
    due = time.monotonic()
    for _ in range(count):
        due += period_secs
        time.sleep(max(0.0, due - time.monotonic()))
        step()


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {"cpu": model, "system": platform.platform(), "python": platform.python_version()}


def number(value: float) -> str:
    """A figure with three significant digits and thousands set apart."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    for key, value in machine().items():
        print(f"{key:8} {value}")
    print(f"\n{'id':16}{'value':>12} {'unit':6}{'limit':>12}{'ratio':>8}  what, and what limits it")
    for row in rows:
        print(
            f"{row.id:16}{number(row.value):>12} {row.unit:6}{number(row.limit):>12}"
            f"{row.ratio:>8.3f}  {row.what}; limit: {row.limit_is}"
        )
        for name, value in row.more.items():
            print(f"{'':16}{number(value):>12} {row.unit:6}{'':20}  {name}")


def keep(name: str, rows: Sequence[Row]) -> Path:
    """Write the rows as JSON; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps([asdict(row) for row in rows], indent=1))
    return path
