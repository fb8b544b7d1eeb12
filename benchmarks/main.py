"""`make bench`: the main figures, each beside its limit in the same run."""

from __future__ import annotations

from benchmarks import crash, ring, verb
from benchmarks.measure import keep, show


def main() -> None:
    """Measure, print the table, and write `results/main.json`."""
    rows = [*ring.measure(), *verb.measure(), *crash.measure()]
    show(rows)
    print(f"\nwritten: {keep('main', rows)}")


if __name__ == "__main__":
    main()
