"""The proofs of the core in the long run: millions of mutations, thousands of kills."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from soak_plan import report, seconds_for

pytestmark = pytest.mark.soak

MANIFEST = Path(__file__).parents[2] / "core" / "Cargo.toml"
FULL = {"mutations": 10_000_000, "writer_kills": 100_000, "reader_kills": 10_000}
MOST_SLOWDOWN = 1.25
"""Of the writer, once readers were killed: two medians of the same work, some noise apart."""


def prove(proof: str) -> dict[str, int]:
    """Run one proof for its share of the time, with dice of today; returns what it counted."""
    seed, seconds = time.time_ns() % 2**32, int(seconds_for(proof.replace("_", " ")))
    print(f"{proof}: RINGDAQ_SEED={seed}")
    changes = {
        "RINGDAQ_SEED": str(seed),
        "RINGDAQ_PROOF_SECS": str(seconds),
        f"RINGDAQ_{proof.upper()}": str(FULL[proof]),
    }
    command = ["cargo", "test", "--manifest-path", MANIFEST, "--release", "--locked", "--quiet"]
    command += ["--test", "proofs", "--", proof]
    done = subprocess.run(
        command, env=os.environ | changes, stdout=subprocess.PIPE, text=True, check=True
    )
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("count ")]
    return {name: int(number) for _, name, number in lines}


def tell(counts: dict[str, int]) -> None:
    for name, number in counts.items():
        report(f"ring: {name.replace('_', ' ')}", number)


def test_no_mutation_crashes_or_mixes():
    counts = prove("mutations")
    tell(counts)
    assert counts["mutations"] > 0


def test_no_killed_writer_takes_a_record_with_it():
    counts = prove("writer_kills")
    tell(counts)
    assert counts["writers_killed_inside_a_record"] > 0


def test_killed_readers_slow_no_writer():
    counts = prove("reader_kills")
    tell(counts)
    assert counts["readers_killed"] > 0
    before, afterwards = counts["nanos_a_record_before"], counts["nanos_a_record_afterwards"]
    assert afterwards < before * MOST_SLOWDOWN
