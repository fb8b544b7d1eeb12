"""Filter, rate limit and queue of one subscriber."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringdaq.errors import BadRequestError, UnknownStreamError
from ringdaq.gateway.batch import Column
from ringdaq.gateway.measurements import MeasurementSubscription, PointQueue, RateLimit
from ringdaq.gateway.wishes import ChannelFilter
from ringdaq.model import Channel, StreamSpec

STAGE = StreamSpec("stage", "rows", (Channel("x", "float64"), Channel("y", "float64")))
DOTTED = StreamSpec("stage.x", "rows", (Channel("position", "float64"),))
EEG = StreamSpec("eeg", "samples", (Channel("Fp1", "int16"),), sample_rate=Fraction(250))
CAMERA = StreamSpec(
    "camera", "frames", (Channel("image", "uint8", shape=(2, 2)), Channel("gain", "float64"))
)
ALL = [STAGE, DOTTED, EEG, CAMERA]


def chosen(*names: str) -> dict[str, list[str]]:
    wanted = ChannelFilter(names)
    found = {spec.name: [c.name for c in wanted.channels(spec)] for spec in ALL}
    return {name: channels for name, channels in found.items() if channels}


def test_no_filter_is_every_single_value_of_rows() -> None:
    assert chosen() == {"stage": ["x", "y"], "stage.x": ["position"]}


def test_a_filter_names_streams_and_channels() -> None:
    assert chosen("stage") == {"stage": ["x", "y"]}
    assert chosen("stage.y") == {"stage": ["y"]}
    assert chosen("stage.x.position", "eeg") == {"stage.x": ["position"], "eeg": ["Fp1"]}
    assert chosen("camera") == {"camera": ["gain"]}


def test_a_name_that_is_both_a_stream_and_a_channel_means_both() -> None:
    assert chosen("stage.x") == {"stage": ["x"], "stage.x": ["position"]}


def test_names_are_checked() -> None:
    streams = [spec.name for spec in ALL]
    ChannelFilter(["stage", "eeg.Fp1", "run.not-there-yet"]).check(ALL, streams)
    with pytest.raises(UnknownStreamError, match=r"'stage\.z'.*camera, eeg, stage"):
        ChannelFilter(["stage.z"]).check(ALL, streams)
    with pytest.raises(BadRequestError, match="images"):
        ChannelFilter(["camera.image"]).check(ALL, streams)


def test_a_filter_tells_from_a_name_alone_which_streams_it_may_mean() -> None:
    wanted = ChannelFilter(["stage.x.position", "eeg"])
    names = ["stage", "stage.x", "stage.x.position", "eeg", "eeg.fast", "stag", "camera"]
    assert [name for name in names if wanted.names(name)] == names[:4]
    assert all(map(ChannelFilter([]).names, names))


@given(
    st.lists(st.lists(st.integers(0, 50_000_000), min_size=1, max_size=30), max_size=20),
    st.sampled_from([1.0, 3.0, 10.0, 999.0]),
)
def test_the_rate_is_never_exceeded(gaps: list[list[int]], rate: float) -> None:
    limit = RateLimit(rate)
    now, passed, first = 1_700_000_000_000_000_000, 0, None
    for chunk in gaps:
        times = now + np.cumsum(np.array(chunk, np.int64))
        now = int(times[-1])
        first = int(times[0]) if first is None else first
        passed += int(np.count_nonzero(limit.choose(times)))
    if first is not None:
        assert 1 <= passed <= (now - first) / 1e9 * rate + 1


def test_the_limit_does_not_depend_on_how_points_are_cut() -> None:
    times = np.arange(0, 3_000_000_000, 7_000_000)
    whole = RateLimit(10.0).choose(times)
    limit = RateLimit(10.0)
    assert (
        np.concatenate([limit.choose(times[i : i + 5]) for i in range(0, len(times), 5)]).tolist()
        == whole.tolist()
    )
    assert np.count_nonzero(whole) == 30


def test_times_that_go_back_do_not_open_the_limit() -> None:
    limit = RateLimit(1.0)
    times = np.array([10, 5, 3, 9]) * 1_000_000_000
    assert limit.choose(times).tolist() == [True, False, False, False]


def column(first: int, count: int) -> Column:
    times = np.arange(first, first + count)
    return Column(times, times.astype(float))


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(1, 40))
def test_a_full_queue_drops_the_oldest_and_counts(sizes: list[int], capacity: int) -> None:
    queue = PointQueue("V", None, capacity)
    total = 0
    for size in sizes:
        queue.put(column(total, size))
        total += size
    message = queue.take("meter.power")
    if message is None:
        assert total == 0
        return
    assert list(message.time_nanos) == list(range(max(0, total - capacity), total))
    assert list(message.values) == [float(t) for t in message.time_nanos]
    assert message.dropped + len(message.time_nanos) == total
    assert queue.take("meter.power") is None


def test_what_the_limit_leaves_out_takes_no_memory() -> None:
    queue = PointQueue("V", RateLimit(1.0))
    for batch in range(1000):
        queue.put(column(batch * 100, 100))
    assert queue.columns == 1
    message = queue.take("meter.power")
    assert message is not None
    assert (len(message.values), message.skipped) == (1, 99_999)


def test_text_goes_as_text() -> None:
    queue = PointQueue("", None)
    queue.put(Column(np.array([1, 2]), np.array(["a", "µ"], dtype=object)))
    message = queue.take("stage.state")
    assert message is not None
    assert list(message.texts) == ["a", "µ"]
    assert not message.values


@dataclass
class FakeBatch:
    columns: dict[str, Column]
    spec: StreamSpec = STAGE


def test_nothing_is_kept_for_a_stream_that_is_gone_once_its_points_are_taken() -> None:
    async def run() -> None:
        subscription = MeasurementSubscription(ChannelFilter([]), max_rate_hz=10.0)
        subscription.offer(FakeBatch({"x": column(0, 1), "y": column(0, 1)}))  # type: ignore[arg-type]
        subscription.gone("stage")
        assert [points.channel for points in await subscription.take()] == ["stage.x", "stage.y"]
        assert not subscription._queues

    asyncio.run(run())
