"""Plugins on the control plane: what may be a coroutine, and what cannot be there."""

from __future__ import annotations

from pathlib import Path

from graph_stand import SOURCE, counts, graph_of, play, raw_stream, refusal, stage
from graph_stand import wait_until as wait

from ringdaq.pipeline import RunningPipeline, build

SINK = stage('name = "end"; type = "plugin"; file = "mine.py"; stage_type = "control_plane"')
COROUTINE = """
import asyncio
from pathlib import Path

class Mine:
    name = "mine"
    description = "Keeps the sums of packets."

    async def process(self, view):
        await asyncio.sleep(0)
        with open("FILE", "a") as file:
            file.write(f"{view.data.sum()}\\n")
"""
IN_PLACE = """
class Mine:
    name = "mine"
    description = "Changes packets."

    def process_inplace(self, view):
        view.data[...] = 0
"""


def test_a_coroutine_sees_every_packet(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(COROUTINE.replace("FILE", str(tmp_path / "sums")))
    with (
        raw_stream(tmp_path) as raw,
        RunningPipeline(build(graph_of(SOURCE + SINK, tmp_path))) as pipeline,
    ):
        play(raw, counts(3))
        wait(lambda: pipeline.statistics()["sinks"]["end"]["packets"] == 3)
        assert pipeline.drain(20.0)
    found = [int(line) for line in (tmp_path / "sums").read_text().split()]
    assert found == counts(3).reshape(3, -1).sum(axis=1).tolist()


def test_a_plugin_that_only_changes_packets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(IN_PLACE)
    with raw_stream(tmp_path):
        said = refusal(SOURCE + SINK, tmp_path)
    assert "packets are read-only on the control plane; plugin 'mine' has no process()" in said
