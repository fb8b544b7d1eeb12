"""`make bench-record`: what recording costs, beside the limits of the disk in the same run."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.history import measure_history
from benchmarks.measure import RESULTS, machine, quantile
from benchmarks.record_load import Load, events, frames, rows
from benchmarks.record_stand import Stand, cpu_secs

MIB, ROUNDS, TURNS = 1 << 20, 6, 4
Figure = dict[str, Any]


def figure(
    name: str,
    value: float,
    unit: str,
    limit: float,
    ratio: float,
    must: str,
    met: bool,
    **more: Any,
) -> Figure:
    """A line of the table and of `results/record.json`."""
    kept = {"id": name, "value": value, "unit": unit, "limit": limit, "ratio": ratio}
    return {**kept, "peers": {}, "must_reach": must, "met": met, "more": more}


def fdatasync_secs(directory: Path, secs: float) -> list[float]:
    """The time of each append of 4 KiB and its fdatasync, one after the other for so long."""
    data, taken, end = os.urandom(4096), list[float](), time.perf_counter() + secs
    with (directory / "sync").open("ab", buffering=0) as file:
        while not taken or time.perf_counter() < end:
            before = time.perf_counter()
            file.write(data)
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - before)
    return taken


def disk_rate(directory: Path, size: int, piece: int) -> float:
    """Bytes a second of a plain sequential write, synced after each piece."""
    data = os.urandom(piece)
    before = time.perf_counter()
    with (directory / "sequential").open("wb", buffering=0) as file:
        for _ in range(size // piece):
            file.write(data)
            os.fdatasync(file.fileno())
    return size // piece * piece / (time.perf_counter() - before)


def durable(directory: Path, rings: Path, share: float) -> list[Figure]:
    """How long after it was accepted a row is durable, at 10 000 rows a second.

    All are taken in turns with the bare disk, as others use the disk now and then. The rows of a
    second share twenty commits, so that a hundredth is some commits only in many seconds.
    """
    single, asked, late = list[float](), list[float](), list[float]()
    for turn in range(TURNS):
        place = directory / str(turn)
        place.mkdir()
        single += fdatasync_secs(place, share)
        asked += rows(place, rings, secs=2 * share, commit_secs=0.0)
        late += rows(place, rings, secs=6 * share, commit_secs=0.05)
    sync, p99, middle = quantile(single, 0.5), quantile(late, 0.99), quantile(asked, 0.5)
    return [
        figure("durable", p99 * 1e3, "ms", sync * 1e3, p99 / 0.1, "p99 ≤ 100 ms", p99 <= 0.1,
               p50_ms=quantile(late, 0.5) * 1e3, longest_ms=max(late) * 1e3,
               longest_of_the_bare_disk_ms=max(single) * 1e3),
        figure("durable_asked", middle * 1e6, "us", sync * 1e6, middle / sync,
               "≤ 2 × one fdatasync when asked for (commit_secs = 0)", middle <= 2 * sync,
               p99_ms=quantile(asked, 0.99) * 1e3, bare_p99_ms=quantile(single, 0.99) * 1e3),
    ]  # fmt: skip


def sustained(directory: Path, rings: Path, share: float) -> list[Figure]:
    """Images into journal and file, beside a plain sequential write.

    A virtual machine pays for memory that it never touched: that is done before, unmeasured.
    """
    count = max(64, int(1536 * share))
    size = 2 * count * 512 * 512 * 2
    disk_rate(directory, size, 32 * MIB)
    before = disk_rate(directory, min(size, 512 * MIB), 32 * MIB)
    found = frames(directory, rings, count)
    after = disk_rate(directory, min(size, 512 * MIB), 32 * MIB)
    limit = (before + after) / 2
    return [
        figure("sustained", found.bytes / found.secs / MIB, "MiB/s", limit / MIB,
               2 * found.bytes / found.secs / limit,
               "journal and file together ≥ 0.6 of the disk, 0 lost",
               2 * found.bytes / found.secs >= 0.6 * limit and not found.lost,
               frames_a_second=count / found.secs, lost=found.lost,
               images_only=found.bytes / found.secs / limit),
    ]  # fmt: skip


def processes(directory: Path, rings: Path, share: float) -> list[Figure]:
    """The recorder's processor time, and what it does to an instrument's loop.

    Taken in turns with a recorder that stands still, as the quiet of a machine comes and goes.
    """
    secs, off, on, used = max(0.5, 3 * share), list[float](), list[float](), 0.0
    with Load(rings) as load, Stand(directory) as stand:
        stand.record(load.paths)
        for _ in range(ROUNDS):
            stand.pause()
            off += load.run(secs)
            stand.go_on()
            load.run(secs / 3)
            before = cpu_secs(stand.pid)
            on += load.run(secs)
            used += cpu_secs(stand.pid) - before
    share_used, quiet, busy = used / secs / ROUNDS, quantile(off, 0.99), quantile(on, 0.99)
    return [
        figure("record_cpu", share_used * 100, "%", 100.0, share_used, "≤ 10 % of a core",
               share_used <= 0.1),
        figure("jitter", busy * 1e6, "us", quiet * 1e6, busy / quiet, "p99 ≤ 1.1 × without",
               busy <= 1.1 * quiet, p50_us=quantile(on, 0.5) * 1e6),
    ]  # fmt: skip


def open_file(directory: Path, rings: Path, share: float) -> list[Figure]:
    """Open a sealed file and read what its default plot shows, beside a bare file."""
    ours, bare = events(directory, rings, max(10_000, int(1_000_000 * share)))
    return [
        figure("open_file", ours * 1e3, "ms", bare * 1e3, ours / bare,
               "≤ 2 × a bare h5py read", ours <= 2 * bare)
    ]  # fmt: skip


def history(directory: Path, rings: Path, share: float) -> list[Figure]:
    """A window of five minutes, decimated: the first query, and one that is moved a little."""
    del directory
    found = measure_history(rings, share)
    return [
        figure("history_5min", found.cold * 1e3, "ms", found.limit * 1e3, found.cold / 0.2,
               "≤ 200 ms cold", found.cold <= 0.2),
        figure("history_5min_panning", found.panned * 1e3, "ms", found.limit * 1e3,
               found.panned / 0.02, "≤ 20 ms when panning", found.panned <= 0.02),
    ]  # fmt: skip


def measure(share: float) -> list[Figure]:
    """All figures."""
    found: list[Figure] = []
    for part in (durable, sustained, processes, history, open_file):
        with (
            tempfile.TemporaryDirectory(prefix="ringdaq-bench-", dir=Path.cwd()) as directory,
            tempfile.TemporaryDirectory(prefix="ringdaq-bench-", dir="/dev/shm") as rings,
        ):
            found += part(Path(directory), Path(rings), share)
    return found


def main() -> None:
    """Measure, print the table, write `results/record.json`."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--tiny", action="store_true", help="only prove that it runs")
    options = parser.parse_args()
    for key, value in machine().items():
        print(f"{key:8} {value}")
    found = measure(0.05 if options.tiny else 1.0)
    print(f"\n{'id':22}{'value':>10} {'unit':6}{'limit':>10}{'ratio':>8}  must reach")
    for one in found:
        print(
            f"{one['id']:22}{one['value']:>10.3g} {one['unit']:6}{one['limit']:>10.3g}"
            f"{one['ratio']:>8.2f}  {one['must_reach']}{'' if one['met'] else '  NOT MET'}"
        )
        for key, value in one["more"].items():
            print(f"{value:>32.3g} {key}")
    if not options.tiny:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "record.json").write_text(json.dumps(found, indent=1))
        print(f"\nwritten: {RESULTS / 'record.json'}")


if __name__ == "__main__":
    main()
