"""The last minute of an EEG, scalars and a camera, mapped again and again while it is made."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from random import Random

import pytest
from soak_plan import report, seconds_for
from time_traveller import PATIENCE_SECS, Counts, Traveller

ROUND_RECORDS = 50
"""Of the EEG, a hundred a second: what has to come before the windows are mapped anew."""


def start(directory: Path, seconds: float, ring_secs: float) -> subprocess.Popen[str]:
    script = Path(__file__).with_name("time_travel_writer.py")
    command = [sys.executable, script, directory, str(seconds), str(ring_secs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def travel(directory: Path, seconds: float) -> dict[str, Counts]:
    """Write and read for so long, and settle the accounts; the rings hold a third of it."""
    ring_secs = min(seconds / 3, 45)
    with start(directory, seconds, ring_secs) as writer:
        assert writer.stdout is not None
        chance = Random(5)
        paths = json.loads(writer.stdout.readline())
        travellers = {name: Traveller(name, Path(path), chance) for name, path in paths.items()}
        clock = travellers["eeg"].reader
        while not clock.statistics().closed:
            for traveller in travellers.values():
                traveller.look()
                traveller.follow()
            assert clock.wait(clock.next_sequence + ROUND_RECORDS, PATIENCE_SECS)
        written = json.loads(writer.stdout.readline())
        assert writer.wait(PATIENCE_SECS) == 0
    for name, traveller in travellers.items():
        traveller.drain()
        settle(written[name], traveller.counts)
        traveller.close()
    return {name: traveller.counts for name, traveller in travellers.items()}


def settle(written: dict[str, int], counts: Counts) -> None:
    """Nothing is torn, and what was written was either seen or reported lost."""
    assert counts.torn == 0
    assert written["records"] == counts.records + counts.lost_records
    assert written["rows"] == counts.rows + counts.lost_rows
    assert counts.overruns > 0
    assert counts.lapped > 0
    assert counts.window_rows > counts.rows


@pytest.mark.timeout(400)
def test_a_minute_is_read_while_it_is_overwritten(ring_directory):
    counts = travel(ring_directory, float(os.environ.get("RINGDAQ_TRAVEL_SECS", "60")))
    for name, found in counts.items():
        print(name, asdict(found))


@pytest.mark.soak
def test_ten_minutes_are_read_while_they_are_overwritten(ring_directory):
    counts = travel(ring_directory, seconds_for("time travel"))
    for name, found in counts.items():
        for what, number in asdict(found).items():
            report(f"time travel, {name}: {what.replace('_', ' ')}", number)
