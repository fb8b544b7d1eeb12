"""Pipelines as a whole: threads, queues, rings, ends and failures, with exact counts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core

from ringdaq.errors import EndOfStreamError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.layout import Layout

CHANNELS, SAMPLES, RATE = 4, 10, (250, 1)
BLOCK = np.ones((SAMPLES, CHANNELS), np.float32)
TIMEOUT = 30.0


def spec(name: str, channels: int = CHANNELS) -> StreamSpec:
    names = tuple(Channel(f"c{i}", "float32") for i in range(channels))
    return StreamSpec(name, "samples", names, sample_rate=Fraction(250))


def add_ring(pipeline: core.Pipeline, name: str, directory: Path) -> Path:
    path = directory / f"{name}.00000001.ring"
    pipeline.ring_sink(name, path, Layout.from_spec(spec(name)).schema, 1 << 20)
    return path


def fed(*stages: tuple[str, str, dict[str, Any]], on_error: str = "stop") -> core.Pipeline:
    """A feed `in`, and stages one after the other."""
    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, RATE)
    last = "in"
    for name, kind, parameters in stages:
        pipeline.stage(name, kind, parameters, on_error)
        pipeline.connect(last, name)
        last = name
    return pipeline


@contextmanager
def started(pipeline: core.Pipeline) -> Iterator[core.Pipeline]:
    pipeline.start()
    try:
        yield pipeline
    finally:
        assert pipeline.stop(TIMEOUT)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def stage(pipeline: core.Pipeline, name: str) -> list[int]:
    return next(list(row[1]) for row in pipeline.statistics()[0] if row[0] == name)


def queue(pipeline: core.Pipeline, name: str) -> dict[str, int]:
    names = [
        "capacity",
        "waiting",
        "sent",
        "received",
        "dropped_oldest",
        "dropped_newest",
        "refused",
        "waits",
    ]
    found = next(row[1] for row in pipeline.statistics()[1] if row[0] == name)
    return dict(zip(names, found, strict=True))


def branch(pipeline: core.Pipeline, name: str) -> Any:
    return next(row for row in pipeline.statistics()[3] if row[0] == name)


def packets(pipeline: core.Pipeline, tap: str) -> list[Any]:
    found = []
    while True:
        try:
            packet = pipeline.read_tap(tap, TIMEOUT)
        except core.EndOfStreamError:
            return found
        assert packet is not None
        found.append(np.asarray(packet).copy() if isinstance(packet, core.Packet) else packet)


def test_a_chain_runs_on_one_thread_and_loses_nothing() -> None:
    pipeline = fed(("a", "pass", {}), ("b", "reference", {"channel": 0}), ("c", "pass", {}))
    pipeline.tap("out")
    pipeline.connect("c", "out", capacity=100)
    with started(pipeline):
        for index in range(50):
            block = BLOCK * index + np.arange(CHANNELS, dtype=np.float32)
            pipeline.write("in", block, frame_id=index)
        assert pipeline.drain(TIMEOUT)
        found = packets(pipeline, "out")
        assert [row[0].tolist() for row in found] == [[0, 1, 2, 3]] * 50
        assert [row[0] for row in pipeline.statistics()[3]] == ["a"]
        assert branch(pipeline, "a")[1] == "ended"
        assert [stage(pipeline, name)[0] for name in "abc"] == [50] * 3
        assert queue(pipeline, "a")["received"] == 50
        assert sum(count for _, count in pipeline.histogram("a")) == 50
        assert all(row[1][1] == 0 for row in pipeline.statistics()[2])
        with pytest.raises(core.ClosedError):
            pipeline.write("in", BLOCK)


def test_from_ring_to_ring(tmp_path: Path) -> None:
    with StreamWriter.create(tmp_path, spec("raw"), capacity_bytes=1 << 20) as writer:
        pipeline = core.Pipeline()
        pipeline.ring_source("raw", writer.path, SAMPLES, RATE, from_oldest=True)
        pipeline.stage("double", "sos", {"sos": [2, 0, 0, 1, 0, 0]})
        pipeline.connect("raw", "double")
        path = add_ring(pipeline, "doubled", tmp_path)
        pipeline.connect("double", "doubled")
        with started(pipeline), StreamReader.open(path) as reader:
            for index in range(20):
                writer.write_block(1_000 + index * 80_000_000, BLOCK.repeat(2, axis=0) * index)
            assert reader.wait(39, TIMEOUT)
            assert pipeline.drain(TIMEOUT)
            rows = [reader.read(i) for i in range(reader.next_sequence)]
            assert sum(len(row) for row in rows) == 20 * 2 * SAMPLES
            assert [row.rows for row in rows] == [10, 10] * 20
            assert rows[3].first_nanos == 1_000 + 30 * 4_000_000
            assert set(rows[-1].to_numpy()["samples"].ravel().tolist()) == {38.0}
            with pytest.raises(EndOfStreamError):
                reader.read(40)


def test_a_fork_shares_packets_and_each_side_sees_its_own() -> None:
    pipeline = fed(("a", "pass", {}), ("left", "reference", {"channel": 0}))
    pipeline.stage("right", "sos", {"sos": [3, 0, 0, 1, 0, 0]})
    pipeline.connect("a", "right")
    for side in ("left", "right"):
        pipeline.tap(f"{side}_out")
        pipeline.connect(side, f"{side}_out", capacity=64)
    block = np.tile(np.arange(1, 5, dtype=np.float32), (SAMPLES, 1))
    with started(pipeline):
        for _ in range(30):
            pipeline.write("in", block)
        assert pipeline.drain(TIMEOUT)
        assert [p[0].tolist() for p in packets(pipeline, "left_out")] == [[0, 1, 2, 3]] * 30
        assert [p[0].tolist() for p in packets(pipeline, "right_out")] == [[3, 6, 9, 12]] * 30
        assert len(pipeline.statistics()[3]) == 3
        assert all(row[1][1] == 0 for row in pipeline.statistics()[2])


def test_what_joins_keeps_every_packet() -> None:
    pipeline = fed(("a", "pass", {}), ("left", "pass", {}), ("join", "pass", {}))
    pipeline.stage("right", "pass", {})
    pipeline.connect("a", "right")
    pipeline.connect("right", "join")
    pipeline.tap("out")
    pipeline.connect("join", "out", capacity=200)
    with started(pipeline):
        for _ in range(60):
            pipeline.write("in", BLOCK)
        assert pipeline.drain(TIMEOUT)
        assert len(packets(pipeline, "out")) == 120


@pytest.mark.parametrize(
    ("policy", "kept", "counted"),
    [
        ("drop_oldest", [6, 7, 8, 9], "dropped_oldest"),
        ("drop_newest", [0, 1, 2, 3], "dropped_newest"),
    ],
)
def test_a_slow_sink_loses_by_its_policy_and_stalls_nobody(
    policy: str, kept: list[int], counted: str
) -> None:
    pipeline = fed(("a", "pass", {}))
    for name, capacity, rule in (("slow", 4, policy), ("quick", 64, "block")):
        pipeline.tap(name)
        pipeline.connect("a", name, capacity=capacity, policy=rule)
    with started(pipeline):
        for index in range(10):
            pipeline.write("in", BLOCK * index)
        assert pipeline.drain(TIMEOUT)
        assert len(packets(pipeline, "quick")) == 10
        assert [p[0, 0] for p in packets(pipeline, "slow")] == kept
        assert queue(pipeline, "slow")[counted] == 6


def test_an_edge_that_fails_ends_its_branch_and_says_so() -> None:
    pipeline = fed(("a", "pass", {}))
    pipeline.tap("slow")
    pipeline.connect("a", "slow", capacity=1, policy="fail")
    with started(pipeline):
        pipeline.write("in", BLOCK)
        pipeline.write("in", BLOCK)
        wait_until(lambda: branch(pipeline, "a")[1] == "failed")
        assert "its policy is to fail" in branch(pipeline, "a")[4]
        assert queue(pipeline, "slow")["refused"] >= 1


def test_a_pause_holds_and_a_change_comes_between_two_packets() -> None:
    pipeline = fed(("gain", "sos", {"sos": [1, 0, 0, 1, 0, 0]}))
    pipeline.tap("out")
    pipeline.connect("gain", "out")
    with started(pipeline):
        pipeline.write("in", BLOCK)
        assert np.asarray(pipeline.read_tap("out", TIMEOUT))[0, 0] == 1
        pipeline.set("gain", "sos", [5, 0, 0, 1, 0, 0])
        with pytest.raises(core.InvalidError, match="no parameter"):
            pipeline.set("gain", "width", 1)
        with pytest.raises(core.InvalidError, match="no stage"):
            pipeline.set("other", "sos", 1)
        pipeline.pause()
        pipeline.write("in", BLOCK)
        seen = branch(pipeline, "gain")[2][1]
        wait_until(lambda: branch(pipeline, "gain")[2][1] > seen)
        while pipeline.read_tap("out", 0.0) is not None:
            pytest.fail("a packet came through a pause")
        pipeline.resume()
        assert np.asarray(pipeline.read_tap("out", TIMEOUT))[0, 0] == 5


def test_a_change_is_made_in_a_pause_though_a_packet_waits_on_the_branchs_thread() -> None:
    pipeline = fed(("gain", "sos", {"sos": [1, 0, 0, 1, 0, 0]}))
    pipeline.tap("out")
    pipeline.connect("gain", "out")
    with started(pipeline):
        pipeline.write("in", BLOCK)
        assert np.asarray(pipeline.read_tap("out", TIMEOUT))[0, 0] == 1
        pipeline.pause()
        pipeline.write("in", BLOCK)
        pipeline.set("gain", "sos", [5, 0, 0, 1, 0, 0], TIMEOUT)
        pipeline.resume()
        assert np.asarray(pipeline.read_tap("out", TIMEOUT))[0, 0] == 5


def test_a_change_that_was_not_answered_in_time_is_never_made() -> None:
    held, go = threading.Event(), threading.Event()

    def hold(packet: core.Packet) -> None:
        held.set()
        assert go.wait(TIMEOUT)

    pipeline = fed(("hold", "python", {"call": hold}), ("gain", "sos", {"sos": [1, 0, 0, 1, 0, 0]}))
    pipeline.tap("out")
    pipeline.connect("gain", "out")
    with started(pipeline):
        pipeline.write("in", BLOCK)
        assert held.wait(TIMEOUT)
        with pytest.raises(core.InvalidError, match="the change was taken back"):
            pipeline.set("gain", "sos", [5, 0, 0, 1, 0, 0], 0.0)
        go.set()
        for _ in range(2):
            assert np.asarray(pipeline.read_tap("out", TIMEOUT))[0, 0] == 1
            pipeline.write("in", BLOCK)
        pipeline.set("gain", "sos", [3, 0, 0, 1, 0, 0], TIMEOUT)


def test_a_stage_that_fails_restarts_after_a_rest() -> None:
    calls: list[int] = []

    def flaky(packet: core.Packet) -> None:
        calls.append(packet.header[6])
        if len(calls) == 1:
            raise ValueError("the first one")

    pipeline = fed(("flaky", "python", {"call": flaky}), on_error="restart")
    pipeline.tap("out")
    pipeline.connect("flaky", "out", capacity=1000)
    with started(pipeline):
        sent = 0
        while len(calls) < 2:
            pipeline.write("in", BLOCK, frame_id=sent)
            sent += 1
        assert pipeline.drain(TIMEOUT)
        came, errors, bypassed, dropped, restarts = stage(pipeline, "flaky")[:5]
        assert (came, errors, bypassed, restarts) == (sent, 1, 0, 1)
        assert len(packets(pipeline, "out")) == sent - dropped
        assert "ValueError: the first one" in pipeline.statistics()[0][0][3]


def test_a_stage_that_fails_ends_its_branch_and_the_next_hear_why() -> None:
    def broken(packet: core.Packet) -> None:
        raise ValueError("broken")

    pipeline = fed(("broken", "python", {"call": broken}))
    pipeline.tap("out")
    pipeline.connect("broken", "out")
    with started(pipeline):
        pipeline.write("in", BLOCK)
        with pytest.raises(core.InvalidError, match="broken"):
            pipeline.read_tap("out", TIMEOUT)
        wait_until(lambda: branch(pipeline, "broken")[1] == "failed")
        with pytest.raises(core.ClosedError, match="has ended"):
            pipeline.write("in", BLOCK)


def test_triggers_follow_their_packet() -> None:
    pipeline = fed(("level", "threshold", {"channel": 0, "level": 0.5}))
    pipeline.tap("out")
    pipeline.connect("level", "out")
    block = np.zeros((SAMPLES, CHANNELS), np.float32)
    block[5:, 0] = 1
    with started(pipeline):
        pipeline.write("in", block, origin_nanos=1_000)
        found = [pipeline.read_tap("out", TIMEOUT) for _ in range(2)]
    trigger = next(f for f in found if isinstance(f, tuple))
    assert trigger == (1_000 + 5 * 4_000_000, 0, 5, 0, 1.0, True)


def test_what_is_no_graph_is_refused() -> None:
    def refused(said: str, build: Callable[[core.Pipeline], Any]) -> None:
        pipeline = fed(("a", "pass", {}), ("b", "pass", {}))

        def start() -> None:
            build(pipeline)
            pipeline.start()

        with pytest.raises(core.InvalidError, match=said):
            start()

    def loop(pipeline: core.Pipeline) -> None:
        pipeline.connect("b", "a")

    refused("leads back to itself", loop)
    refused("two nodes", lambda p: p.tap("a"))
    refused("there is no node 'c'".replace("'", '"'), lambda p: p.connect("b", "c"))
    refused("begins a pipeline", lambda p: p.connect("b", "in"))
    refused("leads to", lambda p: p.connect("a", "b"))
    refused("no source leads to", lambda p: p.tap("out"))
    refused("a policy is", lambda p: p.connect("b", "a", policy="perhaps"))
    refused(
        "made of raw counts",
        lambda p: (p.stage("v", "to_voltage", {"scale": 1}), p.connect("b", "v")),
    )


def test_a_wish_that_the_system_refuses_is_told() -> None:
    pipeline = fed(("a", "pass", {}))
    pipeline.tap("out")
    pipeline.connect("a", "out")
    pipeline.start(cores=[100_000])
    try:
        wait_until(lambda: "no core 100000" in branch(pipeline, "a")[4])
        pipeline.write("in", BLOCK)
        assert pipeline.read_tap("out", TIMEOUT) is not None
    finally:
        assert pipeline.stop(TIMEOUT)
