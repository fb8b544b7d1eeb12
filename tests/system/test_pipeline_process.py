"""Pipelines in processes of their own: results recorded, deaths survived, holes declared."""

from __future__ import annotations

import os
import signal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pipeline_stand import EEG, FILTER, Pipelines, until

import ringdaq
from ringdaq.errors import PipelineBusyError, PipelineStoppedError
from ringdaq.recorder import describe_file
from ringdaq.recorder.readback import RecordedFile

RIG = EEG.format(more="") + FILTER.format(name="clean", stream="eeg")

SEGFAULT = """
import ctypes
from ringdaq.pipeline import Plugin

class Crash(Plugin):
    name = "crash"
    description = "Reads from address 0 at the twentieth packet."
    packets = 0

    def process(self, view):
        self.packets += 1
        if self.packets == 20:
            ctypes.string_at(0)
"""

SINKS = """
import threading
from pathlib import Path
from ringdaq.pipeline import Plugin

class Slow(Plugin):
    name = "slow"
    description = "Takes nothing until a file is there."

    def process(self, view):
        while not Path("{go}").exists():
            threading.Event().wait(0.01)

class Broken(Plugin):
    name = "broken"
    description = "Fails at the fifth packet."
    packets = 0

    def process(self, view):
        self.packets += 1
        if self.packets == 5:
            raise ValueError("no more")
"""

BESIDE = """
[[pipeline.clean.stage]]
name = "beside"
type = "plugin"
file = "plugin.py"
class = "{name}"
stage_type = "control_plane"
input = "band"
[[pipeline.clean.connection]]
from = "band"
to = "beside"
capacity = 4
policy = "drop_newest"
"""


@pytest.fixture
def start(start_daemon):
    def start(more: str, **changes) -> Pipelines:
        return Pipelines(start_daemon(more=more, **changes))

    return start


def check_law(counters):
    for one in counters.values():
        assert one["produced_rows"] == one["durable_rows"] + one["gap_rows"]


def test_a_killed_pipeline_comes_back_and_the_hole_is_declared(start):
    pipelines = start(RIG)
    first = pipelines.await_rows("clean", 1)
    recording = pipelines.record("eeg", "clean")
    pipelines.await_rows("clean", first["statistics"]["rows"] + 500)
    pid = pipelines.kill("clean")
    again = pipelines.await_state("clean", "running", but_pid=pid)
    assert again["restarts"] == 1
    pipelines.await_rows("clean", 500, after=first["generation"])
    file, counters = pipelines.end_recording(recording)
    check_law(counters)
    assert "the recorder ended" not in pipelines.daemon.log.read_text()
    assert counters["eeg"]["gap_rows"] == 0
    (gap,) = describe_file(file)["gaps"]
    assert gap["reason"] == "pipeline restarted"
    assert gap["rows"] == counters["clean"]["gap_rows"] > 0
    with RecordedFile(file) as recorded:
        stream = recorded.streams["clean"]
        times = stream.times(0, stream.rows)
        assert stream.spec.simulated
        assert stream.spec.sample_rate == Fraction(1000)
    steps = np.rint(np.diff(times) / 1_000_000).astype(int)
    assert steps.sum() + 1 == counters["clean"]["produced_rows"]
    assert np.flatnonzero(steps != 1).tolist() == [gap["row"] - 1]


def test_the_text_of_a_pipeline_is_in_every_file_with_its_streams(start, tmp_path):
    code = SINKS.format(go=tmp_path / "go")
    (tmp_path / "plugin.py").write_text(code)
    (tmp_path / "go").touch()
    pipelines = start(RIG + BESIDE.format(name="Slow"))
    pipelines.await_rows("clean", 1)
    (tmp_path / "plugin.py").write_text("# changed after the start\n")
    pipelines.control.call("pipeline.set", {"name": "clean", "values": {"band.low_hz": 2.0}})
    both, without = pipelines.record("*"), pipelines.record("eeg")
    pipelines.await_rows("clean", 200)
    with RecordedFile(pipelines.end_recording(both)[0]) as recorded:
        (found,) = recorded.about()["pipelines"].items()
        spec = recorded.streams["clean"].spec
    name, about = found
    assert (name, about["parameters"]) == ("clean", {"band.low_hz": 2.0})
    assert "[pipeline.clean]" in about["text"]
    assert about["code"] == {"plugin.py": code}
    assert about["hash"] == spec.metadata["pipeline_hash"] == pipelines.one("clean")["hash"]
    with RecordedFile(pipelines.end_recording(without)[0]) as recorded:
        assert recorded.about()["pipelines"] == {}


def test_parameters_are_held_while_a_recording_goes_on(start):
    pipelines = start(RIG)
    pipelines.await_rows("clean", 1)
    wish = {"name": "clean", "values": {"band.high_hz": 30.0}}
    recording = pipelines.record("clean")
    with pytest.raises(PipelineBusyError, match=f"{recording}.* goes on"):
        pipelines.control.call("pipeline.set", wish)
    assert pipelines.one("clean")["parameters"] == {}
    pipelines.end_recording(recording)
    pipelines.control.call("pipeline.set", wish)
    recording = pipelines.record("eeg")
    pipelines.control.call("pipeline.set", wish)
    pid = pipelines.kill("clean")
    assert pipelines.await_state("clean", "running", but_pid=pid)["parameters"] == wish["values"]
    pipelines.end_recording(recording)


def test_a_script_run_holds_the_parameters_too(start):
    pipelines = start(RIG)
    pipelines.await_rows("clean", 1)
    script = pipelines.control.call(
        "scripts.upload", {"content": "while True:\n    sleep(0.1)\n", "name": "wait.py"}
    )
    run = pipelines.control.call("runs.start", {"script": script["script_id"]})
    with pytest.raises(PipelineBusyError, match=run["run_id"]):
        pipelines.control.call("pipeline.set", {"name": "clean", "values": {"band.low_hz": 2.0}})
    pipelines.control.call("runs.stop", {"run_id": run["run_id"]})
    wait = {"run_id": run["run_id"], "timeout": 30.0, "sealed": True}
    status = pipelines.control.call("runs.wait", wait, timeout=60)
    check_law(status["recording"]["streams"])
    assert status["recording"]["streams"]["clean"]["durable_rows"] > 0


def test_a_plugin_that_segfaults_takes_nothing_else_down(start, tmp_path):
    (tmp_path / "plugin.py").write_text(SEGFAULT)
    plugin = '[[pipeline.bad.stage]]\ntype = "plugin"\nfile = "plugin.py"\n'
    bad = FILTER.format(name="bad", stream="eeg")
    where = bad.rindex("[[pipeline.bad.stage]]")
    pipelines = start(RIG + bad[:where] + plugin + bad[where:])
    pipelines.await_rows("bad", 1)
    pid = pipelines.await_state("clean", "running")["pid"]
    recording = pipelines.record("*")
    before = pipelines.one("bad")["restarts"]
    until(lambda: pipelines.one("bad")["restarts"] >= before + 3, "three crashes")
    rows = pipelines.stream("clean")["statistics"]["rows"]
    pipelines.await_rows("clean", rows + 200)
    assert pipelines.one("clean")["pid"] == pid
    assert pipelines.control.call("pipeline.stats", {"name": "clean"})["lost"] == 0
    pipelines.control.call("pipeline.stop", {"name": "bad"})
    file, counters = pipelines.end_recording(recording)
    check_law(counters)
    assert counters["clean"]["gap_rows"] == 0
    gaps = [gap for gap in describe_file(file)["gaps"] if gap["stream"] == "bad"]
    assert gaps
    assert {gap["reason"] for gap in gaps} == {"pipeline restarted"}


def test_a_process_that_says_nothing_is_replaced(start):
    pipelines = start(RIG)
    pipelines.await_rows("clean", 1)
    pid = pipelines.one("clean")["pid"]
    os.kill(pid, signal.SIGSTOP)
    assert pipelines.await_state("clean", "running", but_pid=pid)["restarts"] == 1


def test_pipelines_end_with_their_daemon(start):
    pipelines = start(RIG)
    pipelines.await_rows("clean", 1)
    pid = pipelines.one("clean")["pid"]
    pipelines.daemon.kill()
    until(lambda: not os.path.exists(f"/proc/{pid}"), "the pipeline to end")


def test_a_wrong_pipeline_says_so_and_the_rest_serves(start):
    pipelines = start(RIG + FILTER.format(name="lost", stream="nowhere"))
    found = pipelines.await_state("lost", "failed")
    assert "no stream 'nowhere'" in found["error"]
    assert "line " in found["error"]
    assert found["restarts"] == 0
    pipelines.await_rows("clean", 1)
    with pytest.raises(PipelineStoppedError, match="no stream 'nowhere'"):
        pipelines.control.call("pipeline.pause", {"name": "lost"})


def test_a_pipeline_pauses_goes_on_and_is_emptied(start):
    pipelines = start(RIG)
    pipelines.await_rows("clean", 1)
    call = pipelines.control.call
    assert call("pipeline.pause", {"name": "clean"})["state"] == "paused"
    held = pipelines.stream("clean")["statistics"]["rows"]
    pipelines.await_rows("eeg", pipelines.stream("eeg")["statistics"]["rows"] + 500)
    assert pipelines.stream("clean")["statistics"]["rows"] <= held + 100
    assert call("pipeline.resume", {"name": "clean"})["state"] == "running"
    pipelines.await_rows("clean", held + 500)
    with pytest.raises(PipelineBusyError, match="runs already"):
        call("pipeline.start", {"name": "clean"})
    drained = call("pipeline.drain", {"name": "clean"})
    assert drained["lost"] == 0
    pipelines.await_state("clean", "ended")
    until(lambda: pipelines.stream("clean") == {}, "the stream to be listed no more")
    packets = call("pipeline.stats", {"name": "clean"})["branches"]
    assert all(one["state"] == "ended" for one in packets.values())
    call("pipeline.start", {"name": "clean"})
    pipelines.await_rows("clean", 100)


def test_a_slow_sink_loses_what_its_policy_says_and_no_other_waits(start, tmp_path):
    go = tmp_path / "go"
    (tmp_path / "plugin.py").write_text(SINKS.format(go=go))
    pipelines = start(RIG + BESIDE.format(name="Slow"))
    pipelines.await_rows("clean", 2000)
    stats = pipelines.control.call("pipeline.stats", {"name": "clean"})
    edge = stats["queues"]["beside"]
    assert edge["capacity"] == edge["waiting"] == 4
    assert edge["dropped_newest"] > 0
    assert stats["stages"]["ring_sink"]["dropped"] == 0
    go.touch()
    pipelines.control.call("pipeline.drain", {"name": "clean"})
    pipelines.await_state("clean", "ended")
    stats = pipelines.control.call("pipeline.stats", {"name": "clean"})
    edge, sink = stats["queues"]["beside"], stats["sinks"]["beside"]
    assert edge["sent"] == edge["received"] == sink["packets"]
    packets = stats["stages"]["ring_sink"]["packets"]
    assert sink["packets"] + edge["dropped_newest"] == packets
    assert stats["lost"] == edge["dropped_newest"]


def test_a_sink_that_fails_ends_alone(start, tmp_path):
    (tmp_path / "plugin.py").write_text(SINKS.format(go=""))
    pipelines = start(RIG + BESIDE.format(name="Broken"))
    until(lambda: "no more" in pipelines.one("clean")["error"], "the sink to fail")
    rows = pipelines.await_rows("clean", 1)["statistics"]["rows"]
    pipelines.await_rows("clean", rows + 1000)
    stats = pipelines.control.call("pipeline.stats", {"name": "clean"})
    sink = stats["sinks"]["beside"]
    assert (sink["state"], sink["packets"], sink["errors"]) == ("failed", 4, 1)
    assert sink["dropped"] > 1
    # On a busy machine its queue may have been full before it failed.
    assert sink["dropped"] + stats["queues"]["beside"]["dropped_newest"] == stats["lost"]
    assert (stats["state"], stats["restarts"]) == ("running", 0)


def test_the_network_gets_its_stream_before_and_after_a_kill(start):
    pipelines = start(RIG, gateway=True)
    pipelines.await_rows("clean", 1)
    card = pipelines.daemon.card
    token = Path(card["token_file"]).read_text().strip()
    with ringdaq.connect(card["grpc_address"], token) as client:
        (info,) = [one for one in client.streams() if one.name == "clean"]
        assert info.spec.simulated
        with client.batches("clean") as batches:
            first = next(batches)
            pid = pipelines.kill("clean")
            after = next(b for b in batches if b.generation != first.generation)
    assert after.generation != first.generation
    assert pipelines.await_state("clean", "running", but_pid=pid)["restarts"] == 1
