"""`make bench-ring`: the ring's figures beside their limits, and beside peers."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.measure import RESULTS
from benchmarks.ring_bench import consuming, page, peers, producing, waking
from benchmarks.ring_bench.figure import FULL, TINY, Effort, Figure
from benchmarks.ring_bench.limits import Limits


def figures(effort: Effort) -> list[Figure]:
    """Measure the ring."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="ringdaq-bench-") as rings,
        tempfile.TemporaryDirectory(prefix="ringdaq-bench-") as programs,
    ):
        limits = Limits(Path(programs), Path(rings))
        found = []
        for room in (producing, consuming, waking):
            found += room.measure(Path(rings), limits, effort)
    return found


def join(found: list[Figure], results: list[peers.Result]) -> None:
    """Put the peers' figures for a message of 64 B beside ours."""
    for figure, name in ((f, {"wake": "p50_us", "cpu_1khz": "cpu_us"}.get(f.id)) for f in found):
        if name is not None:
            figure.peers |= {
                r.peer: r.found[name]
                for r in results
                if r.size == 64 and r.peer != "ringdaq" and not r.missing
            }


def keep(found: list[Figure], results: list[peers.Result]) -> None:
    """Write `results/ring.json` and `results/ring-peers.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "ring.json").write_text(json.dumps([f.plain() for f in found], indent=1))
    (RESULTS / "ring-peers.json").write_text(json.dumps([asdict(r) for r in results], indent=1))


def main() -> None:
    """Measure, print the tables, write the results and the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tiny", action="store_true", help="only prove that it runs")
    parser.add_argument("--without-peers", action="store_true")
    options = parser.parse_args()
    where = page.surroundings()
    print("\n".join(where))
    effort = TINY if options.tiny else FULL
    found = figures(effort)
    where.append(effort.calm.told())
    print(effort.calm.told())
    print("\n".join(["", *page.figures_table(found), "", *page.more_table(found), ""]))
    if options.tiny or options.without_peers:
        return
    for name, reason in peers.install().items():
        print(f"not installed: {name}: {reason}")
    results = list(peers.measure(0.8))
    join(found, results)
    print("\n".join([*page.peers_table(results), *page.missing(results)]))
    keep(found, results)
    print(f"\nwritten: {RESULTS / 'ring.json'}, {page.write(found, results, where)}")


if __name__ == "__main__":
    main()
