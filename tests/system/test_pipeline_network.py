"""Pipelines over the network, with both clients."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from pipeline_stand import EEG, FILTER, Pipelines, until

import ringdaq
from ringdaq.client import Client
from ringdaq.errors import (
    BadRequestError,
    ConfigError,
    PipelineBusyError,
    PipelineStoppedError,
    UnknownPipelineError,
)

TEXT = """
name = "other"
[[stage]]
name = "board"
type = "simulated_eeg"
channels = 4
rate_hz = 500
[[stage]]
type = "to_voltage"
[[stage]]
name = "low"
type = "lowpass"
cutoff_hz = 40
[[stage]]
type = "ring_sink"
stream = "other"
[preset.slow.low]
cutoff_hz = 10
"""


@pytest.fixture
def pipelines(start_daemon: Any) -> Pipelines:
    more = EEG.format(more="") + FILTER.format(name="clean", stream="eeg")
    found = Pipelines(start_daemon(more=more, gateway=True))
    found.await_rows("clean", 1)
    return found


@pytest.fixture
def client(pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("RINGDAQ_STATE", str(pipelines.daemon.state))
    with ringdaq.connect() as client:
        yield client


def test_pipelines_are_changed_and_asked_from_afar(pipelines: Pipelines, client: Client) -> None:
    (clean,) = client.pipelines.list()
    assert (clean.name, clean.state, clean.streams) == ("clean", "running", ["clean"])
    assert clean.pid == pipelines.one("clean")["pid"]
    assert client.pipelines.set(clean, {"band.low_hz": 2.0}).parameters == {"band.low_hz": 2.0}
    assert client.pipelines.pause(clean).state == "paused"
    assert client.pipelines.resume("clean").state == "running"
    found = client.pipelines.statistics("clean")
    assert (found.lost, found.lost_samples, found.pipeline.name) == (0, 0, "clean")
    assert found.counters["stages"]["band"]["packets"] > 0
    recording = pipelines.record("clean")
    with pytest.raises(PipelineBusyError, match=recording):
        client.pipelines.set("clean", {"band.low_hz": 3.0})
    pipelines.end_recording(recording)
    assert client.pipelines.drain("clean").name == "clean"
    until(lambda: client.pipelines.list()[0].state == "ended", "the pipeline to end")


def test_a_text_runs_in_the_daemon(pipelines: Pipelines, client: Client) -> None:
    made = client.pipelines.start(text=TEXT, preset="slow", parameters={"board.rate_hz": 250})
    assert (made.name, made.preset, made.parameters) == ("other", "slow", {"board.rate_hz": 250})
    stream = pipelines.await_rows("other", 100)
    assert stream["spec"]["sample_rate"] == "250"
    with pytest.raises(PipelineBusyError, match="already"):
        client.pipelines.start(text=TEXT)
    assert client.pipelines.stop(made).state == "stopped"
    with pytest.raises(PipelineStoppedError, match="it is stopped"):
        client.pipelines.pause("other")
    client.pipelines.start("other")
    pipelines.await_rows("other", 100)


def test_what_is_wrong_is_told(client: Client) -> None:
    with pytest.raises(UnknownPipelineError, match="did you mean 'clean'"):
        client.pipelines.stop("clear")
    with pytest.raises(BadRequestError, match="or a text"):
        client.pipelines.start()
    with pytest.raises(ConfigError, match="line 3"):
        client.pipelines.start(text=TEXT.replace("name =", "\nnome =", 1))
    with pytest.raises(ConfigError, match="did you mean 'low_hz'"):
        client.pipelines.set("clean", {"band.low": 1.0})


def test_the_async_client_has_the_same(client: Client) -> None:
    async def use() -> None:
        other = await ringdaq.connect_async()
        try:
            (clean,) = await other.pipelines.list()
            assert (await other.pipelines.pause(clean)).state == "paused"
            assert (await other.pipelines.resume(clean)).state == "running"
            await other.pipelines.set(clean, {"band.high_hz": 30.0})
            assert (await other.pipelines.statistics(clean)).lost == 0
            assert (await other.pipelines.drain(clean)).name == "clean"
            assert (await other.pipelines.stop(clean)).state == "stopped"
            assert (await other.pipelines.start("clean")).state == "starting"
        finally:
            await other.close()

    asyncio.run(use())
    assert [one.name for one in client.pipelines.list()] == ["clean"]
