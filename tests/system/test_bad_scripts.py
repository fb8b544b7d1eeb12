"""Each bad script is contained and told by name; the acquisition beside it loses nothing."""

import threading
import time

import numpy as np
import pytest
from bad_scripts import BAD, REFUSED, REFUSED_IN

from ringdaq.control import ControlClient
from ringdaq.errors import ScriptRejectedError
from ringdaq.streams import attach

MORE = """
[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
options = { channels = 4, rate_hz = 1000, dtype = "int32" }

[scripts]
wall_secs = 3.0
stop_secs = 1.0
"""
CASES = [(what, *source) for what, bad in BAD.items() for source in bad.sources()]
REFUSALS = [
    (what, name, source, words)
    for what, (python, rhai, words) in REFUSED_IN.items()
    for name, source in (("bad.py", python), ("bad.rhai", rhai))
    if source
] + [
    (what, name, source, words)
    for what, (source, words) in REFUSED.items()
    for name in ("bad.py", "bad.rhai")
]


class Asker:
    """Another client that asks for the daemon's status all the time."""

    def __init__(self, socket):
        self._control = ControlClient.connect(socket)
        self._stop = threading.Event()
        self.secs = []
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self):
        while not self._stop.wait(0.005):
            began = time.monotonic()
            assert self._control.call("system.status")["state"] in ("idle", "running")
            self.secs.append(time.monotonic() - began)

    def end(self):
        self._stop.set()
        self._thread.join()
        self._control.close()


def run(control, name, source):
    script = control.call("scripts.upload", {"content": source, "name": name})["script_id"]
    run_id = control.call("runs.start", {"script": script})["run_id"]
    return control.call("runs.wait", {"run_id": run_id, "timeout": 60}, timeout=70)


def check(status, bad):
    assert status["state"] == "failed"
    error = status["error"]
    assert error["class"] == bad.error, error
    assert bad.words in error["message"]
    assert "\x1b" not in error["message"]
    if bad.limit:
        assert error["details"]["limit"] == bad.limit
        assert error["details"]["line"] > 0
    assert len(status["output"]) <= 1 << 20


def beside(control, what, name, source):
    """What was recorded while a bad script ran."""
    status = run(control, name, source)
    check(status, BAD[what])
    sealed = {"run_id": status["run_id"], "timeout": 60, "sealed": True}
    return control.call("runs.wait", sealed, timeout=120)["recording"]["streams"]


@pytest.mark.timeout(300)
def test_the_acquisition_beside_bad_scripts_loses_nothing(start_daemon):
    daemon = start_daemon(more=MORE)
    control = daemon.control()
    asker = Asker(daemon.card["control_socket"])
    try:
        streams = [beside(control, *case) for case in CASES]
    finally:
        asker.end()
    assert len(asker.secs) > 100
    assert [s["eeg"]["gaps"] for s in streams] == [0] * len(CASES)
    produced = [s["eeg"]["produced_rows"] for s in streams]
    assert produced == [s["eeg"]["durable_rows"] for s in streams]
    assert sum(produced) > 0
    times = eeg_times(daemon)
    assert set(np.diff(times)) == {1_000_000}


def eeg_times(daemon):
    """The times of all samples that the ring still holds, in ns."""
    with attach("eeg", directory=daemon.rings) as stream:
        last = stream.statistics().next_sequence
        found = []
        for record in stream.follow("oldest", timeout=5):
            found.append(record.times())
            if record.sequence >= last - 1:
                return np.concatenate(found)
    raise AssertionError("the stream ended")


@pytest.fixture
def control(start_daemon):
    return start_daemon(recorder=False).control()


def test_what_no_script_may_be_is_refused_at_upload(control):
    for what, name, source, words in REFUSALS:
        with pytest.raises(ScriptRejectedError) as found:
            control.call("scripts.upload", {"content": source, "name": name})
        assert words in str(found.value), (what, name)
    assert control.call("scripts.list") == []
