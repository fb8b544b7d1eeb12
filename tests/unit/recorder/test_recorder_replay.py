"""A recording comes back with the same values, at the times of now."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from recorder_bench import PRODUCE, SPECS, START, STEP

from ringdaq.clock import now_nanos
from ringdaq.errors import InstrumentError, NotConnectedError
from ringdaq.instruments import find_driver
from ringdaq.recorder.readback import RecordedFile
from ringdaq.recorder.replay import RecordingReplay, ReplayOptions
from ringdaq.streams import StreamReader, StreamWriter


@pytest.fixture
def recorded(bench):
    bench.open("stage", "eeg", "camera")
    recording = bench.record()
    bench.produce(20)
    assert bench.end(recording)["state"] == "sealed"
    return bench.file


def play(file, directory, **options):
    """Play to the end into rings; returns each stream's columns and times."""
    replay = RecordingReplay("replay", ReplayOptions(file=file, **options), RecordedFile(file))
    sinks = {
        spec.name: StreamWriter.create(directory, spec, capacity_bytes=1 << 20)
        for spec in replay.stream_specs()
    }
    replay.run(sinks, threading.Event())
    replay.close()
    found = {}
    for name, writer in sinks.items():
        with StreamReader.open(writer.path) as reader:
            found[name] = reader.spec, reader.window(1e6)
        writer.close()
    return found


@pytest.mark.parametrize("speed", [1.0, 10.0])
def test_values_are_equal_and_times_are_now(recorded, ring_directory, tmp_path_factory, speed):
    before = now_nanos()
    played = play(recorded, tmp_path_factory.mktemp("played"), speed=speed)
    spec, stage = played["stage"]
    assert np.allclose(stage.to_numpy()["position"], np.arange(20) * 0.1)
    assert np.array_equal(np.diff(stage.times()), np.full(19, STEP / speed))
    assert before <= stage.times()[0] <= now_nanos()
    assert spec.simulated
    assert spec.metadata["replayed"] == "true"
    assert spec.metadata["replay_of"] == recorded.name
    eeg_spec, eeg = played["eeg"]
    blocks = [[n, -n] for n in range(20) for _ in range(3)]
    assert eeg.to_numpy()["samples"].tolist() == blocks
    assert float(eeg_spec.sample_rate) == pytest.approx(512 / 3 * speed)
    _, camera = played["camera"]
    assert camera.to_numpy()["image"][:, 0, 0].tolist() == [*range(20)]
    assert camera.to_numpy()["exposure"][3] == pytest.approx(0.003)


def test_one_stream_under_another_name(recorded, tmp_path_factory):
    played = play(
        recorded, tmp_path_factory.mktemp("played"), speed=100, streams=["stage"], prefix="old."
    )
    assert [*played] == ["old.stage"]


def test_missing_values_and_texts_come_back(bench, tmp_path_factory):
    bench.open("more_events")
    recording = bench.record()
    bench.produce(6)
    bench.end(recording)
    name = SPECS["more_events"].name
    played = play(bench.file, tmp_path_factory.mktemp("played"), speed=100, streams=[name])
    _, rows = played[name]
    assert [*rows.to_numpy()["note"]] == [f"µ{n}" for n in range(6)]
    assert rows.to_numpy()["count"].tolist() == [*range(6)]
    assert rows[0].masks()["x"].all()
    assert rows.times()[0] > START
    assert "more_events" in PRODUCE


def test_what_cannot_be_played_is_refused(recorded, tmp_path):
    with pytest.raises(InstrumentError, match="nothing"):
        RecordingReplay(
            "r", ReplayOptions(file=recorded, streams=["nothing"]), RecordedFile(recorded)
        )
    driver = find_driver("replay.recording")
    options = driver.options.model_validate({"file": str(tmp_path / "no.h5")})

    class Place:
        name = "r"
        timer = None

        @staticmethod
        def resolve(path):
            return path

    with pytest.raises(NotConnectedError, match="found no file"):
        driver.build(Place, options)
