"""Packets as Python sees them: NumPy over the pool's own memory, and who may write it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import ringdaq_core as core


def filled(pool: core.Pool, value: float = 1.0) -> core.Packet:
    packet = pool.try_acquire()
    assert packet is not None
    packet.set_header("voltage", 5, 3, 10, 0, (3_000, 1), 7)
    np.asarray(packet)[:] = value
    return packet


def test_a_packet_is_an_array_over_the_pools_memory() -> None:
    pool = core.Pool(5, 4, 2)
    packet = filled(pool)
    array = np.asarray(packet)
    assert (array.shape, array.strides, array.dtype) == ((3, 5), (64, 4), np.float32)
    array[1, 2] = 9
    assert np.asarray(packet)[1, 2] == 9
    channel = np.asarray(packet)[:, 2]
    assert channel.tolist() == [1, 9, 1]
    assert packet.header == ("voltage", 5, 3, 10, 0, (3_000, 1), 7)
    assert [packet.sample_timestamp(i) for i in range(4)] == [10, 333_343, 666_676, 1_000_010]


def test_a_frozen_packet_is_read_only_and_its_last_share_returns_it() -> None:
    pool = core.Pool(5, 4, 1)
    packet = filled(pool)
    packet.freeze()
    share = packet.share()
    array = np.asarray(share)
    assert not array.flags.writeable
    assert not packet.is_mutable
    packet.release()
    del packet, share
    assert array[0, 0] == 1
    assert pool.statistics()[1] == 1
    assert pool.try_acquire() is None
    del array
    assert pool.statistics() == (1, 0, 1, 1, 1)


def test_a_packet_with_a_writable_view_is_not_given_away() -> None:
    pool = core.Pool(5, 4, 1)
    packet = filled(pool)
    array = np.asarray(packet)
    for refused in (packet.freeze, packet.release):
        with pytest.raises(BufferError, match="may still write"):
            refused()
    del array
    packet.freeze()


def test_more_than_fits_is_refused() -> None:
    pool = core.Pool(5, 4, 1)
    packet = pool.try_acquire()
    assert packet is not None
    with pytest.raises(core.InvalidError, match="holds 5 channels of 4 samples"):
        packet.set_header("raw", 5, 5, 0, 0, (1, 1), 0)
    with pytest.raises(core.InvalidError, match="1 to"):
        core.Pool(5, 4, 0)


def test_a_wait_for_a_packet_ends_when_one_returns_on_another_thread() -> None:
    pool = core.Pool(5, 4, 1)
    packets: list[Any] = [filled(pool)]
    assert pool.acquire(0.0) is None
    thread = threading.Thread(target=packets.clear)
    thread.start()
    assert pool.acquire(20.0) is not None
    thread.join()


def test_a_python_stage_reads_and_writes_the_packet_itself() -> None:
    seen: list[Any] = []

    def look(packet: core.Packet) -> None:
        array = np.asarray(packet)
        assert not array.flags.writeable
        seen.append(array.sum())

    def double(packet: core.Packet) -> None:
        np.asarray(packet)[:] *= 2

    stages = [("python", {"call": look}), ("python", {"call": double, "in_place": True})]
    chain = core.Chain(5, 3, (250, 1), stages, kind="voltage")
    block = np.full((3, 5), 2, np.float32)
    assert np.asarray(chain.run(block)).tolist() == (block * 2).tolist()
    assert seen == [30]
    assert chain.pool_statistics()[1] == 0


def test_an_array_that_a_stage_keeps_stays_as_it_was() -> None:
    kept: list[Any] = []
    stages = [
        ("python", {"call": lambda packet: kept.append(np.asarray(packet))}),
        ("reference", {}),
    ]
    chain = core.Chain(2, 3, (250, 1), stages, kind="voltage")
    block = np.array([[1, 3]] * 3, np.float32)
    assert np.asarray(chain.run(block)).tolist() == [[-1, 1]] * 3
    assert kept[0].tolist() == block.tolist()
    assert chain.pool_statistics()[1] == 1
    kept.clear()
    assert chain.pool_statistics()[1] == 0


@pytest.mark.parametrize(
    ("policy", "left", "counts"),
    [("bypass", True, [2, 2, 2, 0]), ("restart", False, [2, 1, 0, 2])],
)
def test_a_stage_that_raises_is_counted_with_its_traceback(
    policy: str, left: bool, counts: list[int]
) -> None:
    def fails(packet: core.Packet) -> None:
        raise ValueError("no such luck")

    chain = core.Chain(
        2, 3, (250, 1), [("python", {"call": fails})], kind="voltage", on_error=policy
    )
    for _ in range(2):
        found = chain.run(np.ones((3, 2), np.float32))
        assert (found is not None) is left
    (name, found_counts, _, error) = chain.statistics()[0]
    assert (name, list(found_counts)[:4]) == ("python0", counts)
    assert "ValueError: no such luck" in error
    assert "in fails" in error


def test_a_stage_that_raises_stops_the_chain_if_told_so() -> None:
    def fails(packet: core.Packet) -> None:
        raise ValueError("no such luck")

    chain = core.Chain(2, 3, (250, 1), [("python", {"call": fails})], kind="voltage")
    with pytest.raises(core.InvalidError, match="no such luck"):
        chain.run(np.ones((3, 2), np.float32))


def test_a_writable_array_may_not_be_kept() -> None:
    kept: list[Any] = []
    stage = {"call": lambda packet: kept.append(np.asarray(packet)), "in_place": True}
    chain = core.Chain(2, 3, (250, 1), [("python", stage)], kind="voltage")
    with pytest.raises(core.InvalidError, match="copy what is to be kept"):
        chain.run(np.ones((3, 2), np.float32))
    assert chain.pool_statistics()[1] == 1
    kept.clear()
    assert chain.pool_statistics()[1] == 0


def test_a_compiled_function_is_a_stage() -> None:
    numba = pytest.importorskip("numba")
    types = numba.types
    floats, doubles = types.CPointer(types.float32), types.CPointer(types.float64)
    signature = types.int32(floats, floats, types.int64, types.int64, types.int64, doubles, doubles)

    def gain(source, target, samples, channels, stride, parameters, state):  # type: ignore[no-untyped-def]
        for sample in range(samples):
            for channel in range(channels):
                target[sample * stride + channel] = (
                    source[sample * stride + channel] * parameters[0]
                )
        state[0] += samples
        return 0 if state[0] < 10 else 5

    compiled = numba.cfunc(signature)(gain)
    stage = {"address": compiled.address, "parameters": [3.0], "state": [0.0], "keep": compiled}
    chain = core.Chain(2, 4, (250, 1), [("native", stage)], kind="voltage")
    block = np.arange(8, dtype=np.float32).reshape(4, 2)
    assert np.asarray(chain.run(block)).tolist() == (block * 3).tolist()
    chain.set("native0", "0", 5.0)
    assert np.asarray(chain.run(block)).tolist() == (block * 5).tolist()
    with pytest.raises(core.InvalidError, match="returned 5"):
        chain.run(block)
