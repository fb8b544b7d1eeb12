"""Pools by name, declared latencies, placing, and what fan-out shares."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import ringdaq_core as core

CHANNELS, SAMPLES, RATE, TIMEOUT = 4, 10, (250, 1), 30.0
BLOCK = np.ones((SAMPLES, CHANNELS), np.float32)


def fed() -> core.Pipeline:
    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, RATE)
    return pipeline


def counts(pipeline: core.Pipeline, stage: str) -> list[int]:
    return next(list(row[1]) for row in pipeline.statistics()[0] if row[0] == stage)


def test_fan_out_shares_one_buffer() -> None:
    pipeline = fed()
    for name in ("left", "right"):
        pipeline.tap(name)
        pipeline.connect("in", name)
    pipeline.start()
    try:
        pipeline.write("in", BLOCK)
        packets = [pipeline.read_tap(name, TIMEOUT) for name in ("left", "right")]
        arrays = [np.asarray(packet) for packet in packets]
        addresses = {array.__array_interface__["data"][0] for array in arrays}
        assert len(addresses) == 1
        assert not any(array.flags.writeable for array in arrays)
        assert next(row[1] for row in pipeline.statistics()[2] if row[0] == "in")[1] == 1
    finally:
        del packets, arrays
        assert pipeline.stop(TIMEOUT)


def test_a_stage_takes_its_packets_from_the_pool_it_names() -> None:
    pipeline = fed()
    pipeline.pool("spectra", 16, 10, 3)
    window = {"length": 16, "samples": SAMPLES}
    with pytest.raises(core.InvalidError, match='no pool "other"; there are: spectra'):
        pipeline.stage("fft", "rfft", window, pool="other")
    pipeline.stage("fft", "rfft", window, pool="spectra")
    pipeline.tap("out")
    pipeline.connect("in", "fft")
    pipeline.connect("fft", "out")
    with pytest.raises(core.InvalidError, match="needs packets of 4 channels and 18 rows"):
        pipeline.start()
    pipeline = fed()
    pipeline.pool("spectra", 4, 18, 3)
    pipeline.stage("fft", "rfft", {"length": 16, "samples": SAMPLES}, "bypass", pool="spectra")
    pipeline.tap("out")
    pipeline.connect("in", "fft")
    pipeline.connect("fft", "out")
    pipeline.start()
    try:
        for _ in range(5):
            pipeline.write("in", BLOCK)
        assert pipeline.drain(TIMEOUT)
        pools = {name: list(row) for name, row in pipeline.statistics()[2]}
        assert pools["spectra"] == [3, 3, 3, 3, 2]
        came, errors, bypassed, dropped = counts(pipeline, "fft")[:4]
        assert (came, errors, bypassed, dropped) == (5, 2, 0, 2)
    finally:
        assert pipeline.stop(TIMEOUT)


def test_an_edge_must_hold_what_comes_while_its_slowest_stage_works() -> None:
    assert core.needed_capacity(0.3, 10, (100, 1)) == 3
    assert core.needed_capacity(0.31, 10, (100, 1)) == 4
    assert core.needed_capacity(0.0, 10, (100, 1)) == 0
    pipeline = fed()
    pipeline.stage("slow", "pass", {}, latency_secs=0.2)
    pipeline.tap("out")
    pipeline.connect("in", "slow", capacity=4)
    pipeline.connect("slow", "out")
    with pytest.raises(core.InvalidError, match=r'from "in" to "slow" needs room for 5 packets'):
        pipeline.start()
    with pytest.raises(core.InvalidError, match="a latency is a number of seconds"):
        fed().stage("slow", "pass", {}, latency_secs=-1.0)


def test_latencies_add_up_along_the_way_and_are_measured() -> None:
    pipeline = fed()
    pipeline.stage("first", "pass", {}, latency_secs=0.02)
    pipeline.stage("second", "pass", {}, latency_secs=0.03)
    pipeline.tap("out")
    pipeline.connect("in", "first")
    pipeline.connect("first", "second", own_thread=True)
    pipeline.connect("second", "out")
    pipeline.start()
    try:
        pipeline.write("in", BLOCK)
        assert pipeline.read_tap("out", TIMEOUT) is not None
        assert pipeline.drain(TIMEOUT)
        found = {name: (declared, seen) for name, declared, seen in pipeline.latency()}
        assert {name: row[0] for name, row in found.items()} == {
            "first": pytest.approx(0.02),
            "second": pytest.approx(0.05),
        }
        assert all(0 < row[1][0] <= row[1][2] for row in found.values())
    finally:
        assert pipeline.stop(TIMEOUT)


def test_a_core_that_is_not_there_is_refused_politely() -> None:
    pipeline = fed()
    pipeline.stage("a", "pass", {})
    pipeline.tap("out")
    pipeline.connect("in", "a")
    pipeline.connect("a", "out")
    pipeline.start(cores=[99_999])
    try:
        pipeline.write("in", BLOCK)
        assert pipeline.read_tap("out", TIMEOUT) is not None
        (_, state, _, _, told) = pipeline.statistics()[3][0]
        assert state == "running"
        assert told == "there is no core 99999"
    finally:
        assert pipeline.stop(TIMEOUT)


def test_a_crashing_branch_does_not_stall_its_neighbour() -> None:
    def broken(packet: core.Packet) -> None:
        raise ValueError("broken")

    pipeline = fed()
    pipeline.stage("split", "pass", {})
    pipeline.stage("bad", "python", {"call": broken})
    pipeline.stage("good", "pass", {})
    pipeline.connect("in", "split")
    for name in ("bad", "good"):
        pipeline.tap(f"{name}_out")
        pipeline.connect("split", name)
        pipeline.connect(name, f"{name}_out", capacity=64)
    pipeline.start()
    try:
        for _ in range(40):
            pipeline.write("in", BLOCK)
        assert pipeline.drain(TIMEOUT)
        found = 0
        while True:
            try:
                assert pipeline.read_tap("good_out", TIMEOUT) is not None
            except core.EndOfStreamError:
                break
            found += 1
        assert found == 40
        assert counts(pipeline, "good")[0] == 40
        assert counts(pipeline, "bad")[:4] == [1, 1, 0, 1]
        with pytest.raises(core.InvalidError, match="broken"):
            pipeline.read_tap("bad_out", TIMEOUT)
    finally:
        assert pipeline.stop(TIMEOUT)


def test_packets_dropped_on_any_thread_return() -> None:
    pool = core.Pool(CHANNELS, SAMPLES, 8)
    packets = [pool.try_acquire() for _ in range(8)]
    threads = [threading.Thread(target=packets.pop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.statistics() == (8, 0, 8, 8, 0)
