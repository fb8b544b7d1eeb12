"""`bypass` lets a packet go on as it came, whatever the stage has done to it before it failed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import ringdaq_core as core

CHANNELS, SAMPLES, TIMEOUT = 2, 10, 30.0
BLOCK = np.arange(SAMPLES * CHANNELS, dtype=np.float32).reshape(SAMPLES, CHANNELS)


def half(packet: core.Packet) -> None:
    np.asarray(packet)[: SAMPLES // 2] *= 1000
    raise ValueError("half way")


@pytest.mark.parametrize("readers", [1, 2])
def test_a_packet_that_was_half_changed_goes_on_as_it_came(readers: int) -> None:
    pipeline = core.Pipeline()
    pipeline.feed("in", "voltage", CHANNELS, SAMPLES, (250, 1))
    for reader in range(readers):
        pipeline.stage(f"half{reader}", "python", {"call": half, "in_place": True}, "bypass")
        pipeline.tap(f"out{reader}")
        pipeline.connect("in", f"half{reader}")
        pipeline.connect(f"half{reader}", f"out{reader}", 64)
    pipeline.start()
    try:
        for _ in range(20):
            pipeline.write("in", BLOCK)
            for reader in range(readers):
                packet = pipeline.read_tap(f"out{reader}", TIMEOUT)
                assert np.array_equal(np.asarray(packet), BLOCK)
        packets, errors, bypassed, *_ = pipeline.statistics()[0][0][1]
        assert (packets, errors, bypassed) == (20, 20, 20)
        del packet
        assert pipeline.drain(TIMEOUT)
        assert all(pool[1][1] == 0 for pool in pipeline.statistics()[2])
    finally:
        assert pipeline.stop(TIMEOUT)


@pytest.mark.parametrize(
    "stage",
    [
        ("sos", {"sos": [2, 0, 0, 1, -0.5, 0]}),
        ("envelope", {"sos": [2, 0, 0, 1, -0.5, 0]}),
    ],
)
def test_a_filter_that_met_a_number_that_is_none_leaves_the_packet_alone(stage: Any) -> None:
    made = core.Chain(CHANNELS, SAMPLES, (250, 1), [stage], kind="filtered", on_error="bypass")
    bad = -BLOCK
    bad[3, 1] = np.nan
    found = made.run(bad)
    assert np.array_equal(np.asarray(found), bad, equal_nan=True)
    good = made.run(BLOCK)
    assert not np.array_equal(np.asarray(good), BLOCK)
    assert made.statistics()[0][1][1:3] == [1, 1]
