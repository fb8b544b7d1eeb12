"""What sources hand in comes wherever it goes, once, however long a queue is full."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core
from graph_stand import graph_of

from ringdaq.errors import ClosedStreamError
from ringdaq.pipeline import build, feeding
from ringdaq.pipeline.feeding import CoreFeed
from ringdaq.pipeline.running import RunningPipeline
from ringdaq.streams import RingDirectory, StreamReader

CHANNELS, SAMPLES = 2, 5
BLOCK = np.ones((SAMPLES, CHANNELS), np.float32)
TIMEOUT = 30.0
WAITS = """
import threading
from pathlib import Path

class Waits:
    name = "waits"
    description = "Comes back when a file is there."

    def process(self, view):
        while not Path("{go}").exists():
            threading.Event().wait(0.01)
"""


@contextmanager
def forked(*slow_first: str, policy: str = "block") -> Iterator[core.Pipeline]:
    """A feed `in` with two ways: `quick`, which never is full, and `slow` with room for one."""
    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, (250, 1))
    for name in slow_first or ("quick", "slow"):
        pipeline.tap(name)
        slow = name == "slow"
        pipeline.connect("in", name, 1 if slow else 64, policy if slow else "block")
    pipeline.start()
    try:
        yield pipeline
    finally:
        assert pipeline.stop(TIMEOUT)


def write(pipeline: core.Pipeline, frame: int, timeout_secs: float = 0.0) -> bool:
    return pipeline.write("in", BLOCK, frame_id=frame, timeout_secs=timeout_secs)


def frame(pipeline: core.Pipeline, tap: str) -> int:
    packet = pipeline.read_tap(tap, TIMEOUT)
    assert isinstance(packet, core.Packet)
    return packet.header[6]


def rest(pipeline: core.Pipeline, tap: str) -> list[int]:
    """The frames that are left until the end."""
    found = []
    while True:
        try:
            found.append(frame(pipeline, tap))
        except (core.EndOfStreamError, core.InvalidError):
            return found


def queue(pipeline: core.Pipeline, name: str) -> dict[str, int]:
    row = next(row for row in pipeline.statistics()[1] if row[0] == name)
    return {"waiting": row[1][1], "refused": row[1][6], "waits": row[1][7]}


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("order", [("quick", "slow"), ("slow", "quick")])
def test_a_block_that_a_full_queue_keeps_waiting_comes_once_wherever_it_goes(
    order: tuple[str, str],
) -> None:
    with forked(*order) as pipeline:
        assert write(pipeline, 0)
        assert not write(pipeline, 1)
        assert not pipeline.settle("in", 0.0)
        with pytest.raises(TimeoutError):
            write(pipeline, 2)
        with pytest.raises(TimeoutError):
            pipeline.mark("in", 0, timeout_secs=0.0)
        assert frame(pipeline, "slow") == 0
        assert pipeline.settle("in", 0.0)
        assert frame(pipeline, "slow") == 1
        assert write(pipeline, 2)
        assert pipeline.drain(TIMEOUT)
        assert rest(pipeline, "quick") == [0, 1, 2]
        assert rest(pipeline, "slow") == [2]
        assert (queue(pipeline, "slow")["refused"], pipeline.lost_rows("in")) == (0, 0)


def test_a_drain_hands_on_what_waits_and_a_stop_counts_it() -> None:
    with forked() as pipeline:
        write(pipeline, 0)
        assert not write(pipeline, 1)
        drained = threading.Thread(target=pipeline.drain, args=(TIMEOUT,))
        drained.start()
        assert rest(pipeline, "slow") == [0, 1]
        drained.join()
        assert pipeline.lost_rows("in") == 0
    with forked() as pipeline:
        write(pipeline, 0)
        assert not write(pipeline, 1)
        assert pipeline.stop(TIMEOUT)
        assert (queue(pipeline, "slow")["refused"], pipeline.lost_rows("in")) == (1, SAMPLES)
        with pytest.raises(core.ClosedError, match="the pipeline has ended"):
            write(pipeline, 2)


def test_a_full_queue_that_fails_ends_the_feed_and_all_behind_it_hear_why() -> None:
    with forked(policy="fail") as pipeline:
        assert write(pipeline, 0)
        for later in (1, 2):
            with pytest.raises(core.ClosedError, match="its policy is to fail"):
                write(pipeline, later)
        assert rest(pipeline, "quick") == [0, 1]
        assert frame(pipeline, "slow") == 0
        with pytest.raises(core.InvalidError, match="its policy is to fail"):
            pipeline.read_tap("slow", TIMEOUT)
        assert queue(pipeline, "slow")["refused"] == 1


def test_a_source_waits_as_long_as_its_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "ROOM_SECS", 0.001)
    with forked() as pipeline:
        feed = CoreFeed(pipeline, "in", threading.Event())
        source = threading.Thread(target=lambda: [feed.write(BLOCK, 0) for _ in range(3)])
        source.start()
        wait_until(lambda: queue(pipeline, "slow")["waits"] > 5)
        assert [frame(pipeline, "slow") for _ in range(3)] == [0, 1, 2]
        source.join(TIMEOUT)
        assert (feed.blocks, feed.refused, feed.lost_samples) == (3, 0, 0)
        assert queue(pipeline, "slow")["refused"] == 0


def test_what_a_source_cannot_hand_in_at_the_end_is_counted_in_samples(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeding, "ROOM_SECS", 0.001)
    stopping = threading.Event()
    with forked() as pipeline:
        feed = CoreFeed(pipeline, "in", stopping)
        feed.write(BLOCK, 0)
        stopping.set()
        with pytest.raises(ClosedStreamError, match="the pipeline has ended"):
            feed.write(BLOCK, 0)
        with pytest.raises(ClosedStreamError, match="the pipeline has ended"):
            feed.write(BLOCK, 0)
        assert (feed.blocks, feed.refused, feed.lost_samples) == (2, 1, SAMPLES)
        assert pipeline.stop(TIMEOUT)
        # The second was taken, and the end came before its queue had room.
        assert feed.lost_samples == 2 * SAMPLES


def source_of(pipeline: RunningPipeline) -> dict[str, Any]:
    found: dict[str, Any] = pipeline.statistics()["sources"]["board"]
    return found


def test_a_source_whose_edge_fails_when_full_ends_and_no_sample_is_there_twice(
    tmp_path: Path,
) -> None:
    go = tmp_path / "go"
    (tmp_path / "waits.py").write_text(WAITS.format(go=go))
    text = (
        '[[stage]]\nname = "board"\ntype = "simulated_eeg"\nrate_hz = 1000\nchannels = 4\n'
        '[[stage]]\nname = "out"\ntype = "ring_sink"\nstream = "out"\n'
        '[[stage]]\nname = "slow"\ntype = "plugin"\nfile = "waits.py"\ninput = "board"\n'
        '[[stage]]\nname = "slow_out"\ntype = "ring_sink"\n'
        '[[connection]]\nfrom = "board"\nto = "slow"\npolicy = "fail"\ncapacity = 1\n'
    )
    pipeline = RunningPipeline(build(graph_of(text, tmp_path)))
    pipeline.start()
    try:
        wait_until(lambda: source_of(pipeline)["state"] == "failed")
        assert pipeline.over
        assert "its policy is to fail" in pipeline.failures()[0]
    finally:
        go.touch()
        assert pipeline.stop(TIMEOUT)
    with StreamReader.open(RingDirectory(tmp_path).newest("out")) as reader:
        times = [reader.read(place).first_nanos for place in range(reader.next_sequence)]
    assert len(times) == len(set(times)) > 0


def test_what_follows_a_failure_hears_of_it_though_the_queue_is_full() -> None:
    def third(packet: core.Packet) -> None:
        if packet.header[6] == 2:
            raise ValueError("the third")

    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, (250, 1))
    pipeline.stage("third", "python", {"call": third})
    pipeline.tap("out")
    pipeline.connect("in", "third")
    pipeline.connect("third", "out", 1, "drop_newest")
    pipeline.start()
    try:
        for each in range(3):
            write(pipeline, each)
        wait_until(lambda: pipeline.statistics()[3][0][1] == "failed")
        assert frame(pipeline, "out") == 0
        with pytest.raises(core.InvalidError, match="the third"):
            pipeline.read_tap("out", TIMEOUT)
        with pytest.raises(core.EndOfStreamError):
            pipeline.read_tap("out", TIMEOUT)
    finally:
        assert pipeline.stop(TIMEOUT)
