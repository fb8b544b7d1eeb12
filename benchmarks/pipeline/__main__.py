"""`make bench-pipeline`: the pipeline's figures beside their limits, and beside peers."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks.measure import RESULTS
from benchmarks.pipeline import computing, page, peers, running, stages
from benchmarks.pipeline.figure import Figure
from benchmarks.pipeline.limits import Limits
from benchmarks.ring_bench.calm import Calm
from benchmarks.ring_bench.figure import TINY, Effort
from benchmarks.ring_bench.page import surroundings

PACKETS = 1_000_000
"""That the allocator is watched for."""


def figures(effort: Effort, packets: int, others: peers.Installed) -> list[Figure]:
    """Measure everything."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm", prefix="ringdaq-bench-") as rings,
        tempfile.TemporaryDirectory(prefix="ringdaq-bench-") as programs,
    ):
        limits = Limits(Path(programs), Path(rings))
        found = computing.measure(Path(rings), limits, effort, others)
        in_c = next(figure.limit for figure in found if figure.id == "chain") or 0.0
        found += stages.measure(effort, packets, others)
        found += running.measure(Path(rings), effort, in_c)
    try:
        found.append(running.looped(effort))
    except (ImportError, OSError, RuntimeError) as error:
        others.missing["lsl_loop"] = f"{type(error).__name__}: {error}"
    return found


def main() -> None:
    """Measure, print the tables, write the results and the page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tiny", action="store_true", help="only prove that it runs")
    parser.add_argument("--without-allocations", action="store_true", help="needs no cargo")
    options = parser.parse_args()
    effort = TINY if options.tiny else Effort(rounds=5, calm=Calm(60.0))
    packets = 0 if options.tiny or options.without_allocations else PACKETS
    where = surroundings()
    print("\n".join([*where, page.kernels()]))
    others = peers.Installed() if options.tiny else peers.installed(effort.share)
    found = figures(effort, packets, others)
    where.append(effort.calm.told())
    print("\n".join(["", *page.table(found), "", *page.beside(found), "", *page.missing(others)]))
    if options.tiny:
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pipeline.json").write_text(json.dumps([f.plain() for f in found], indent=1))
    print(f"\nwritten: {RESULTS / 'pipeline.json'}, {page.write(found, others, where)}")


if __name__ == "__main__":
    main()
