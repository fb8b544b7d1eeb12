"""Measurements through a real gateway, from real rings."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fake_daemon import TOKEN, GatewayProcess, run_of

import ringdaq
from ringdaq import errors
from ringdaq.client import Client, MeasurementBatch, Subscription
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

SECOND = 1_000_000_000
METER = StreamSpec("meter", "rows", (Channel("power", "float64", unit="W"),))
STAGE = StreamSpec(
    "stage", "rows", (Channel("position", "float64", unit="mm"), Channel("state", "string"))
)
EEG = StreamSpec(
    "eeg",
    "samples",
    (Channel("Fp1", "int16", unit="uV", scale=0.5, offset=1.0), Channel("Fp2", "int16")),
    sample_rate=Fraction(250),
)
CAMERA = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(4, 6)),))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    process.daemon.methods["runs.status"] = lambda run_id: status_of(run_id)
    yield process
    process.close()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[Client]:
    with ringdaq.connect(gateway.address, TOKEN) as connected:
        yield connected


RUNS = {"r2": "running"}
"""Those that the daemon knows."""


def status_of(run_id: str) -> dict[str, object]:
    if run_id not in RUNS:
        raise errors.UnknownRunError(f"there is no run {run_id!r}")
    return run_of(run_id, state=RUNS[run_id])


class Rings:
    """Makes rings, and takes them away with the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.writers: list[StreamWriter] = []

    def create(self, spec: StreamSpec, capacity_bytes: int = 1 << 20) -> StreamWriter:
        writer = StreamWriter.create(self.directory, spec, capacity_bytes=capacity_bytes)
        self.writers.append(writer)
        return writer

    def clear(self) -> None:
        for writer in self.writers:
            writer.close()
        for file in self.directory.iterdir():
            file.unlink()


@pytest.fixture
def rings(gateway: GatewayProcess) -> Iterator[Rings]:
    made = Rings(gateway.rings)
    yield made
    made.clear()


def collect(
    batches: Subscription[MeasurementBatch], channel: str, count: int
) -> tuple[list[int], list[object]]:
    """The first `count` points of a channel."""
    times: list[int] = []
    values: list[object] = []
    for batch in batches:
        if channel in batch.channels:
            times += list(batch.channels[channel].times)
            values += list(batch.channels[channel].values)
        if len(times) >= count:
            return times, values
    raise AssertionError(f"the stream ended after {len(times)} points of {channel}")


def test_points_arrive_in_order_with_their_times(client: Client, rings: Rings) -> None:
    meter = rings.create(METER)
    with client.stream(["meter.power"], seconds=60) as batches:
        for i in range(500):
            meter.append(i * SECOND, i / 4)
        times, values = collect(batches, "meter.power", 500)
    assert times == [i * SECOND for i in range(500)]
    assert values == [i / 4 for i in range(500)]


def test_without_a_filter_all_single_values_come(client: Client, rings: Rings) -> None:
    meter, stage = rings.create(METER), rings.create(STAGE)
    eeg, camera = rings.create(EEG), rings.create(CAMERA)
    with client.stream(seconds=60) as batches:
        eeg.write_block(1, np.zeros((4, 2), np.int16))
        camera.write_frame(1, np.zeros((4, 6), np.uint16))
        stage.append(1, 2.5, "moving")
        meter.append(2, 0.125)
        seen: dict[str, list[object]] = {}
        while len(seen) < 3:
            for name, points in next(batches).channels.items():
                seen.setdefault(name, []).extend(points.values)
    assert seen == {"stage.position": [2.5], "stage.state": ["moving"], "meter.power": [0.125]}


def test_the_filter_takes_a_stream_or_a_channel(client: Client, rings: Rings) -> None:
    meter, stage = rings.create(METER), rings.create(STAGE)
    with client.stream(["stage.position", "meter"], seconds=60) as batches:
        stage.append(1, 2.5, "moving")
        meter.append(2, 0.125)
        seen: set[str] = set()
        while len(seen) < 2:
            seen |= set(next(batches).channels)
    assert seen == {"stage.position", "meter.power"}


def test_a_missing_value_gives_no_point(client: Client, rings: Rings) -> None:
    stage = rings.create(STAGE)
    with client.stream(["stage"], seconds=60) as batches:
        stage.append(1, 2.5, None)
        stage.append(2, None, "at rest")
        stage.append(3, 3.5, None)
        assert collect(batches, "stage.position", 2) == ([1, 3], [2.5, 3.5])


def test_samples_come_when_named_and_in_physical_units(client: Client, rings: Rings) -> None:
    eeg = rings.create(EEG)
    with client.stream(["eeg.Fp1"], seconds=60) as batches:
        eeg.write_block(1000, np.array([[2, 9], [4, 9], [-6, 9]], np.int16))
        times, values = collect(batches, "eeg.Fp1", 3)
    assert values == [2.0, 3.0, -2.0]
    assert times == [1000, 1000 + 4_000_000, 1000 + 8_000_000]


def test_the_rate_limit_holds_for_each_channel_by_itself(client: Client, rings: Rings) -> None:
    meter, stage = rings.create(METER), rings.create(STAGE)
    points: dict[str, int] = {}
    skipped = 0
    with client.stream(["meter.power", "stage.position"], max_rate_hz=10, seconds=60) as batches:
        for i in range(1000):
            meter.append(i * SECOND // 1000, float(i))
        stage.append(5 * SECOND, 1.0, None)
        while sum(points.values()) < 11 or skipped < 990:
            for name, new in next(batches).channels.items():
                points[name] = points.get(name, 0) + len(new.times)
                skipped += new.skipped
                assert new.dropped == 0
    assert points == {"meter.power": 10, "stage.position": 1}
    assert skipped == 990


def test_a_subscriber_that_does_not_read_is_told_what_it_missed(
    client: Client, rings: Rings
) -> None:
    rows, records = 1000, 3000
    meter = rings.create(METER, capacity_bytes=1 << 16)
    with client.stream(["meter.power"], seconds=100) as batches:
        for i in range(records):
            first = i * rows
            times = np.arange(first, first + rows)
            meter.write_rows(times, {"power": times.astype(float)})
        received = dropped = 0
        last = -1
        while received + dropped < rows * records:
            batch = next(batches)
            points = batch.channels["meter.power"]
            received += len(points.times)
            dropped += batch.dropped
            if len(points.times):
                assert points.times[0] > last
                last = int(points.times[-1])
    assert received + dropped == rows * records
    assert dropped > 0


def test_a_stream_that_comes_later_is_sent_from_its_first_row(client: Client, rings: Rings) -> None:
    rings.create(METER)
    with client.stream(seconds=60) as batches:
        later = rings.create(StreamSpec("run.r1", "rows", (Channel("peak", "float64"),)))
        later.append(1, 1.0)
        later.append(2, 2.0)
        assert collect(batches, "run.r1.peak", 2) == ([1, 2], [1.0, 2.0])


def test_a_runs_stream_may_be_asked_for_before_it_is_there(client: Client, rings: Rings) -> None:
    with client.stream(["run.r2"], seconds=60) as batches:
        later = rings.create(StreamSpec("run.r2", "rows", (Channel("peak", "float64"),)))
        later.append(7, 4.0)
        assert collect(batches, "run.r2.peak", 1) == ([7], [4.0])


def test_a_runs_streams_end_with_the_run(
    client: Client, rings: Rings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RUNS, "r3", "running")
    with client.stream(["run.r3"], seconds=60) as points, client.batches("run.r3") as records:
        writer = rings.create(StreamSpec("run.r3", "rows", (Channel("peak", "float64"),)))
        for i in range(100):
            writer.append(i, float(i))
        writer.close()
        monkeypatch.setitem(RUNS, "r3", "completed")
        assert sum(len(batch.channels["run.r3.peak"].times) for batch in points) == 100
        assert sum(record.rows for record in records) == 100
    assert list(client.batches("run.r3", seconds=60)) == []


def test_a_run_that_nobody_knows_is_refused(client: Client) -> None:
    for subscription in (
        client.batches("run.no-such-run", seconds=60),
        client.stream(["run.no-such-run.peak"], seconds=60),
    ):
        with pytest.raises(errors.UnknownStreamError, match="no run 'no-such-run'"):
            next(subscription)


def test_the_next_generations_follow_without_a_seam(client: Client, rings: Rings) -> None:
    first = rings.create(METER)
    with client.stream(["meter"], seconds=60) as batches:
        first.append(1, 1.0)
        first.close()
        for i in (2, 3):
            following = rings.create(METER)
            following.append(i, float(i))
            following.close()
        rings.create(METER).append(4, 4.0)
        assert collect(batches, "meter.power", 4) == ([1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("name", ["mter", "meter.pwer", "stage"])
def test_an_unknown_name_is_refused(client: Client, rings: Rings, name: str) -> None:
    rings.create(METER)
    with pytest.raises(errors.UnknownStreamError, match="the streams are: meter"):
        next(client.stream([name], seconds=60))


def test_images_are_no_single_values(client: Client, rings: Rings) -> None:
    rings.create(CAMERA)
    with pytest.raises(errors.BadRequestError, match="StreamBatches"):
        next(client.stream(["camera"], seconds=60))


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_a_senseless_rate_is_refused(client: Client, rate: float) -> None:
    with pytest.raises(errors.BadRequestError, match="max_rate_hz"):
        next(client.stream(max_rate_hz=rate, seconds=60))


def test_batches_are_an_arrow_stream(client: Client, rings: Rings) -> None:
    eeg = rings.create(EEG)
    with client.batches("eeg", seconds=60) as batches:
        blocks = [np.arange(i, i + 8, dtype=np.int16).reshape(4, 2) for i in range(3)]
        for i, block in enumerate(blocks):
            eeg.write_block(i * 16_000_000, block)
        got = [next(batches) for _ in blocks]
    assert [b.sequence for b in got] == [0, 1, 2]
    assert [(b.rows, b.lost_records, b.lost_rows) for b in got] == [(4, 0, 0)] * 3
    whole = got[0].schema + b"".join(b.payload for b in got) + b"\xff\xff\xff\xff\0\0\0\0"
    table = pa.ipc.open_stream(whole).read_all()
    assert table.num_rows == 12
    assert got[1].to_arrow().column("samples").to_pylist() == blocks[1].tolist()


def test_batches_carry_frames(client: Client, rings: Rings) -> None:
    big = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(2048, 2048)),))
    camera = rings.create(big, capacity_bytes=32 << 20)
    image = np.arange(2048 * 2048, dtype=np.uint16).reshape(2048, 2048)
    with client.batches("camera", seconds=60) as batches:
        camera.write_frame(17, image)
        batch = next(batches)
    assert (batch.rows, batch.first_nanos) == (1, 17)
    assert len(batch.payload) > image.nbytes


def test_batches_of_an_unknown_stream(client: Client, rings: Rings) -> None:
    rings.create(METER)
    with pytest.raises(errors.UnknownStreamError):
        next(client.batches("eeg", seconds=60))


def test_a_new_generation_brings_its_own_schema(client: Client, rings: Rings) -> None:
    first = rings.create(METER)
    wider = StreamSpec("meter", "rows", (*METER.channels, Channel("range", "float64")))
    with client.batches("meter", seconds=60) as batches:
        first.append(1, 1.0)
        first.close()
        rings.create(wider).append(2, 2.0, 20.0)
        one, two = next(batches), next(batches)
    assert one.generation != two.generation
    assert two.to_arrow().schema.names == ["time", "power", "range"]


def test_a_client_that_leaves_ends_the_reading(
    client: Client, rings: Rings, gateway: GatewayProcess
) -> None:
    meter = rings.create(METER)
    streams = [client.stream(["meter"]) for _ in range(5)]
    meter.append(1, 1.0)
    for stream in streams:
        next(stream)
        stream.close()
    wait_until(lambda: not ring_threads(gateway.process.pid))


def ring_threads(pid: int) -> list[str]:
    """Names of the threads of a process that read rings and have a ring open."""
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in maps if line.endswith(".ring")]


def wait_until(condition: object, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def test_the_async_client_streams(gateway: GatewayProcess, rings: Rings) -> None:
    meter = rings.create(METER)

    async def use() -> list[float]:
        values: list[float] = []
        async with await ringdaq.connect_async(gateway.address, TOKEN) as client:
            async with client.stream(["meter"], seconds=60) as batches:
                meter.append(1, 1.0)
                meter.append(2, 2.0)
                async for batch in batches:
                    values += list(batch.channels["meter.power"].values)
                    if len(values) == 2:
                        break
            async with client.batches("meter", seconds=60) as records:
                meter.append(3, 3.0)
                async for record in records:
                    values.append(record.first_nanos)
                    break
        return values

    assert asyncio.run(use()) == [1.0, 2.0, 3]
