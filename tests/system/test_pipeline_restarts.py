"""Pipelines that fail, end and begin again: always one process, and the state that it has."""

from __future__ import annotations

import threading

import pytest
from pipeline_stand import EEG, FILTER, Pipelines, until

from ringdaq.errors import PipelineBusyError, RingdaqError

ONCE = """
from pathlib import Path
from ringdaq.pipeline import Plugin

class Once(Plugin):
    name = "once"
    description = "Fails at its fifth packet, once ever."
    packets = 0

    def process(self, view):
        self.packets += 1
        if self.packets == 5 and not Path("{done}").exists():
            Path("{done}").touch()
            raise ValueError("a bad moment")
"""

TWO = """
[pipeline.both]
[[pipeline.both.stage]]
name = "raw"
type = "ring_source"
stream = "eeg"
[[pipeline.both.stage]]
name = "raw-again"
type = "ring_sink"
stream = "raw-again"
[[pipeline.both.stage]]
name = "filtered"
type = "ring_source"
stream = "clean"
[[pipeline.both.stage]]
name = "clean-again"
type = "ring_sink"
stream = "clean-again"
"""

CSV = """
[[pipeline.clean.stage]]
type = "csv_sink"
file = "not-there/rows.csv"
input = "band"
"""


@pytest.fixture
def start(start_daemon):
    def start(more: str) -> Pipelines:
        return Pipelines(start_daemon(more=EEG.format(more="") + more))

    return start


def test_a_pipeline_that_failed_once_runs_again_and_says_so(start, tmp_path):
    (tmp_path / "plugin.py").write_text(ONCE.format(done=tmp_path / "done"))
    rig = FILTER.format(name="clean", stream="eeg")
    plugin = '[[pipeline.clean.stage]]\ntype = "plugin"\nfile = "plugin.py"\n'
    where = rig.rindex("[[pipeline.clean.stage]]")
    pipelines = start(rig[:where] + plugin + rig[where:])
    until(lambda: (tmp_path / "done").exists(), "the bad moment")
    until(lambda: pipelines.one("clean")["restarts"] == 1, "the next process")
    again = pipelines.await_state("clean", "running")
    assert again["pid"] is not None
    rows = pipelines.await_rows("clean", 100)["statistics"]["rows"]
    with pytest.raises(PipelineBusyError, match="runs already"):
        pipelines.control.call("pipeline.start", {"name": "clean"})
    assert pipelines.control.call("pipeline.stats", {"name": "clean"})["state"] == "running"
    pipelines.await_rows("clean", rows + 100)
    pipelines.control.call("pipeline.stop", {"name": "clean"})
    assert pipelines.one("clean")["pid"] is None
    until(lambda: pipelines.stream("clean") == {}, "the stream to be listed no more")


def test_one_that_cannot_begin_says_why_for_as_long_as_it_tries(start):
    pipelines = start(FILTER.format(name="clean", stream="eeg") + CSV)
    until(lambda: pipelines.one("clean")["restarts"] >= 2, "it to be started again")
    seen = pipelines.one("clean")
    assert "not-there/rows.csv" in seen["error"]
    assert seen["state"] in ("starting", "ready", "restarting")


def test_of_two_peers_who_bring_a_text_of_one_name_one_starts_it(start, tmp_path, ring_directory):
    pipelines = start("")
    text = FILTER.format(name="x", stream="eeg").replace("[pipeline.x]", "")
    text = text.replace("pipeline.x.", "")
    wish = {"text": text, "path": str(tmp_path / "mine.toml")}
    outcomes, peers = [], [pipelines.daemon.control() for _ in range(4)]

    def start_it(peer):
        try:
            outcomes.append(peer.call("pipeline.start", wish)["name"])
        except RingdaqError as error:
            outcomes.append(type(error))

    threads = [threading.Thread(target=start_it, args=(peer,)) for peer in peers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == sorted(map(str, ["mine"] + 3 * [PipelineBusyError]))
    pipelines.await_rows("x", 100)
    assert len(list(ring_directory.glob("x.*.ring"))) == 1


def test_a_stream_that_goes_on_is_taken_up_again_beside_another(start):
    pipelines = start(TWO + FILTER.format(name="clean", stream="eeg"))
    first = pipelines.await_rows("clean-again", 200)
    pipelines.await_rows("raw-again", 200)
    pid = pipelines.kill("clean")
    pipelines.await_state("clean", "running", but_pid=pid)
    pipelines.await_rows("clean-again", 200, after=first["generation"])
    pipelines.await_rows("raw-again", 200)
    assert pipelines.one("both")["error"] == ""


def test_no_result_passes_for_the_stream_of_an_instrument_that_is_away(start, tmp_path):
    away = '[[instrument]]\nname = "axis"\ndriver = "newport.esp300"\n'
    away += "limits = { position = [0.0, 25.0] }\n"
    away += f'[instrument.options]\nport = "{tmp_path}/no-port"\naxis = 1\nunit = "mm"\n'
    rig = "".join(FILTER.format(name=name, stream="eeg") for name in ("axis", "clean"))
    pipelines = start(away + rig)
    assert "'axis' is written by somebody else" in pipelines.await_state("axis", "failed")["error"]
    pipelines.await_rows("clean", 1)
