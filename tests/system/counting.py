"""For tests that kill a daemon's children: a stream whose every sample tells its place."""

import time
from pathlib import Path

import numpy as np

RATE = 10_000
PERIOD = 20_000
REPLAY = """
[[instrument]]
name = "counter"
driver = "replay.edf"
[instrument.options]
file = "{file}"
loop = true
block_secs = 0.001
"""


def make_counter(path):
    """Two seconds of 10 000 samples a second that count up, so that each sample tells its place."""
    import edfio

    count = np.arange(PERIOD, dtype=np.int16)
    signal_ = edfio.EdfSignal.from_digital(
        count, RATE, physical_range=(-3276.8, 3276.7), digital_range=(-32768, 32767), label="count"
    )
    edfio.Edf([signal_]).write(path)


def children_of(pid):
    """The command lines of a process's children, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            command = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue
        if parent == str(pid):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def recorder_pid(daemon_pid):
    """The daemon's child that is a recorder now, or `None` between two of them."""
    children = children_of(daemon_pid).items()
    return next((pid for pid, command in children if "ringdaq.recorder" in command), None)


def next_recorder(daemon_pid, old):
    deadline = time.monotonic() + 60
    while (pid := recorder_pid(daemon_pid)) in (None, old):
        assert time.monotonic() < deadline, "no new recorder came"
        time.sleep(0.01)
    return pid


def assert_counts_on(samples):
    """Each sample is its forerunner's successor: nothing lost, nothing doubled, nothing changed."""
    steps = np.diff(samples.astype(int)) % PERIOD
    assert np.array_equal(steps, np.ones(len(samples) - 1, dtype=int))
