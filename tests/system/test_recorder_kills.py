"""The recorder's process, killed, stopped, left alone: nothing is lost in silence or doubled."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from recorder_stand import Stand, Writer, wait_until

from ringdaq.recorder import describe_file, recover
from ringdaq.recorder.follow import PIECE_BYTES

pytestmark = pytest.mark.slow

KILLS = 10
ROUNDS = 10
RATE = 10_000
STREAM = "fast"
HITS, ROW_BYTES = 5, 256
"""Damaged bytes, and the least that a row takes in the journal."""


@pytest.fixture
def stand(tmp_path):
    # A socket's path must be short.
    directory = Path(tempfile.mkdtemp(prefix="ringdaq-"))
    made = Stand(directory)
    yield made
    made.close()
    shutil.rmtree(directory)


@pytest.fixture
def start_writer(ring_directory):
    writers = []

    def start(**options):
        writers.append(Writer(ring_directory, **options))
        return writers[-1]

    yield start
    for writer in writers:
        writer.kill()


def check_law(report):
    for counters in report["streams"].values():
        assert counters["produced_rows"] == counters["durable_rows"] + counters["gap_rows"]


def read_plainly(path):
    """What a reader finds that never heard of ringdaq: the rows it may rely on, their values."""
    with h5py.File(path) as file:
        group = file["entry"][STREAM]
        rows = int(group.attrs["durable_rows"])
        return rows, group["n"][:rows], group["value"][:rows]


def check_flushed(path):
    rows, n, value = read_plainly(path)
    assert len(n) == len(value) == rows
    np.testing.assert_array_equal(n, np.arange(rows))
    np.testing.assert_array_equal(value, np.arange(rows) * 0.5)
    return rows


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_ten_kills_at_ten_thousand_rows_a_second_lose_nothing_and_double_nothing(
    stand, start_writer, seed
):
    chance = random.Random(seed)
    writer = start_writer(rate=RATE, total=70_000, capacity_bytes=64 << 20)
    stand.start_recorder()
    file = stand.open("run", [writer.reader])
    writer.go()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.05, 0.6))  # the moment of the kill is what is random
        stand.kill_recorder()
        if file.exists():
            check_flushed(file)
        stand.start_recorder()
    writer.wait()
    stand.end("run", [writer.reader])
    report = stand.wait_sealed("run")
    counters = report["streams"][STREAM]
    assert counters["produced_rows"] == counters["durable_rows"] == counters["durable_records"]
    assert counters["produced_rows"] == writer.total
    assert (counters["gap_rows"], counters["gaps"]) == (0, 0)
    assert check_flushed(file) == writer.total
    found = describe_file(file)
    assert (found["state"], found["sealed"], found["lost_rows"]) == ("completed", True, 0)


# Opens the growing file again and again, as somebody who never heard of ringdaq, and counts.
PLAIN_READER = """
import json, sys, time
import h5py, numpy as np
tries = errors = wrong = 0
seen, until = set(), time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    tries += 1
    try:
        with h5py.File(sys.argv[1]) as file:
            group = file["entry/fast"]
            rows = int(group.attrs["durable_rows"])
            n, value = group["n"][:rows], group["value"][:rows]
    except (OSError, RuntimeError, KeyError, ValueError):
        errors += 1
        continue
    expected = np.arange(rows)
    wrong += not (np.array_equal(n, expected) and np.array_equal(value, expected * 0.5))
    seen.add(rows)
print(json.dumps([tries, errors, wrong, len(seen)]))
"""
# Tries to get hold of the file to write in it, and writes if it does.
INTRUDER = """
import sys, time
import h5py
opened, until = 0, time.monotonic() + float(sys.argv[2])
while time.monotonic() < until:
    try:
        with h5py.File(sys.argv[1], "r+") as file:
            file.attrs["mine"] = opened
            opened += 1
    except (OSError, RuntimeError):
        pass
    time.sleep(0.001)
print(opened)
"""
LOOKING_SECS = 8.0


def beside(code, file):
    arguments = [sys.executable, "-c", code, str(file), str(LOOKING_SECS)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_plain_readers_see_right_rows_while_the_file_grows_and_nobody_writes_in_it(
    stand, start_writer
):
    writer = start_writer(rate=RATE, total=int(RATE * (LOOKING_SECS + 2)), capacity_bytes=32 << 20)
    stand.start_recorder()
    file = stand.open("run", [writer.reader])
    writer.go()
    wait_until(file.exists, "the file")
    reader, intruder = beside(PLAIN_READER, file), beside(INTRUDER, file)
    tries, errors, wrong, seen = json.loads(reader.communicate()[0])
    opened = int(intruder.communicate()[0])
    print(f"{tries} times opened, {errors} errors, {seen} states seen, {opened} times to write")
    assert wrong == 0
    assert errors < 0.02 * tries
    assert seen > LOOKING_SECS
    assert opened == 0
    writer.wait()
    stand.end("run", [writer.reader])
    report = stand.wait_sealed("run")
    check_law(report)
    assert not report["error"]
    assert check_flushed(file) == writer.total


def test_a_lapped_recorder_declares_exactly_what_it_lost(stand, start_writer):
    writer = start_writer(rate=100_000, total=40_000, capacity_bytes=2 << 20)
    stand.start_recorder()
    file = stand.open("run", [writer.reader])
    wait_until(file.exists, "the file")
    stand.recorder.send_signal(signal.SIGSTOP)
    writer.go()
    writer.wait()
    stand.recorder.send_signal(signal.SIGCONT)
    stand.end("run", [writer.reader])
    report = stand.wait_sealed("run")
    check_law(report)
    counters = report["streams"][STREAM]
    assert counters["produced_rows"] == writer.total
    assert counters["gap_rows"] > 0
    found = describe_file(file)
    assert found["lost_rows"] == counters["gap_rows"] == sum(g["rows"] for g in found["gaps"])
    with h5py.File(file) as opened:
        kept = opened["entry"][STREAM]["n"][:]
    lost = {
        n
        for g in found["gaps"]
        for n in range(g["first_sequence"], g["first_sequence"] + g["records"])
    }
    assert set(kept) | lost == set(range(writer.total))
    assert len(kept) + len(lost) == writer.total


def test_a_recorder_that_is_asked_to_go_leaves_its_recording_to_the_next(stand, start_writer):
    writer = start_writer(rate=RATE, total=6_000, capacity_bytes=8 << 20)
    stand.start_recorder()
    file = stand.open("run", [writer.reader])
    writer.go()
    wait_until(file.exists, "the file")
    stand.recorder.send_signal(signal.SIGTERM)
    assert stand.recorder.wait(30) == 0
    assert not describe_file(file)["sealed"]
    stand.start_recorder()
    writer.wait()
    stand.end("run", [writer.reader])
    counters = stand.wait_sealed("run")["streams"][STREAM]
    assert (counters["durable_rows"], counters["gaps"]) == (writer.total, 0)
    assert check_flushed(file) == writer.total


def test_without_a_daemon_the_rings_are_drained_and_the_file_sealed(stand, start_writer):
    writer = start_writer(rate=RATE, total=3_000, capacity_bytes=8 << 20)
    stand.start_recorder()
    file = stand.open("run", [writer.reader])
    writer.go()
    wait_until(file.exists, "the file")
    stand.hang_up()
    writer.wait()
    writer.process.kill()
    assert stand.recorder.wait(30) == 0
    found = describe_file(file)
    assert (found["state"], found["sealed"]) == ("interrupted", True)
    assert check_flushed(file) == writer.total


def test_without_a_daemon_from_the_start_the_recorder_says_so(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ringdaq.recorder", "--socket", tmp_path / "none.sock"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "a daemon should answer on its control socket" in done.stderr


def test_a_recording_that_nobody_finished_is_finished_at_the_next_start(stand, start_writer):
    writer = start_writer(rate=RATE, total=3_000, capacity_bytes=8 << 20)
    stand.start_recorder()
    file = stand.open("run", [writer.reader])
    writer.go()
    writer.wait()
    stand.kill_recorder()
    writer.process.kill()
    stand.recordings.clear()
    stand.start_recorder()
    check_law(stand.wait_sealed("run"))
    assert check_flushed(file) == writer.total
    assert describe_file(file)["state"] == "interrupted"


def test_damage_to_the_journal_is_found_and_never_read_as_data(stand, start_writer, tmp_path):
    writer = start_writer(rate=RATE, total=6_000, capacity_bytes=8 << 20)
    stand.start_recorder()
    stand.open("run", [writer.reader])
    writer.go()
    writer.wait()
    stand.end("run", [writer.reader])
    stand.wait_sealed("run")
    journal = stand.data / "journals" / "run"
    whole = recover(journal, output=tmp_path / "whole.h5")
    assert whole.damage == []
    (segment,) = journal.glob("segment-*.journal")
    data = bytearray(segment.read_bytes())
    chance = random.Random(7)
    for _ in range(HITS):
        place = chance.randrange(1000, len(data))
        data[place] ^= 0xFF
    segment.write_bytes(data)
    report = recover(journal, output=tmp_path / "damaged.h5")
    assert report.damage
    check_law({"streams": report.streams})
    counters = report.streams[STREAM]
    assert counters["produced_rows"] == writer.total
    assert 0 < counters["gap_rows"] <= HITS * PIECE_BYTES // ROW_BYTES
    with h5py.File(tmp_path / "damaged.h5") as file:
        group = file["entry"][STREAM]
        kept, value = group["n"][:], group["value"][:]
    assert len(kept) == counters["durable_rows"]
    np.testing.assert_array_equal(value, kept * 0.5)
    assert np.all(np.diff(kept) > 0)
