"""A recording through `ringdaq pipeline run`: a ring, a file and an LSL outlet hold the same."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pylsl
import pytest
from pipeline_stand import until
from scipy import signal
from soak_plan import report, seconds_for

from ringdaq.pipeline.lsl import lsl_secs
from ringdaq.recorder.readback import RecordedFile
from ringdaq.streams import RingDirectory, attach

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
EXAMPLE = ROOT / "examples/pipelines/eeg.toml"
STREAM = "eeg.clean"
FOUND = [path for path in (DATA / "mne_test.edf",) if path.exists()]
RIG = '[rig]\nname = "show"\n[daemon]\ngateway = false\nring_directory = "{rings}"\n'


def generated(folder: Path) -> Path:
    """Eight channels of noise at 250 Hz, each with a rhythm of its own."""
    noise, times = np.random.default_rng(7), np.arange(60 * 250) / 250
    signals = [
        edfio.EdfSignal(
            50 * np.sin(2 * np.pi * (3 + n) * times) + noise.normal(0, 5, len(times)),
            250,
            label=f"E{n}",
            physical_dimension="uV",
            physical_range=(-327.68, 327.67),
        )
        for n in range(8)
    ]
    edfio.Edf(signals).write(folder / "made.edf")
    return folder / "made.edf"


def voltages(path: Path) -> list[Any]:
    """The signals of voltage of a file."""
    return [one for one in edfio.read_edf(path).signals if one.physical_dimension == "uV"]


class Listener(threading.Thread):
    """Reads an LSL stream with pylsl until it is told to stop."""

    def __init__(self, name: str) -> None:
        super().__init__(name="listener", daemon=True)
        self.values: list[list[float]] = []
        self.stamps: list[float] = []
        self.done = threading.Event()
        self._wanted = name

    def run(self) -> None:
        found = pylsl.resolve_byprop("name", self._wanted, timeout=60.0)
        inlet = pylsl.StreamInlet(found[0])
        while not self.done.is_set():
            values, stamps = inlet.pull_chunk(timeout=0.1)
            self.values += values
            self.stamps += stamps
        inlet.close_stream()


class Show:
    """One run of the command, with a listener and a look into the ring."""

    def __init__(self, folder: Path, rings: Path) -> None:
        self.folder, self.rings = folder, rings
        self.lsl = f"ringdaq-test-{uuid.uuid4().hex}"

    def run(self, recording: Path, seconds: float) -> dict[str, Any]:
        rig = self.folder / "rig.toml"
        rig.write_text(RIG.format(rings=self.rings))
        channels = [one.label for one in voltages(recording)]
        command = [sys.executable, "-P", "-m", "ringdaq.cli", "pipeline", "run", str(EXAMPLE)]
        command += ["--rig", str(rig), "--data", str(self.folder / "data"), "--json"]
        command += ["--seconds", str(seconds), "--set", f"lsl.stream={self.lsl}"]
        command += ["--set", f"recording.file={recording}"]
        command += ["--set", f"recording.channels={json.dumps(channels)}"]
        self.listener = Listener(self.lsl)
        self.listener.start()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            self.from_ring = self._look(process)
            out, err = process.communicate(timeout=seconds + 120)
        self.listener.done.set()
        self.listener.join(30)
        assert process.returncode == 0, err.decode()
        found: dict[str, Any] = json.loads(out)
        return found

    def _look(self, process: subprocess.Popen[bytes]) -> Any:
        """The first three records, out of the ring while it is written."""

        def directory() -> Path | None:
            assert process.poll() is None, process.communicate()[1].decode()
            ready = (one for one in self.rings.iterdir() if STREAM in RingDirectory(one).streams())
            return next(ready, None)

        with attach(STREAM, directory=until(directory, "the ring")) as stream:
            following = stream.follow("oldest", timeout=60.0)
            return np.vstack([next(following).columns()["samples"] for _ in range(3)])


@pytest.fixture
def show(tmp_path: Path, ring_directory: Path) -> Iterator[Show]:
    return Show(tmp_path, ring_directory)


def wanted(recording: Path, rows: int) -> Any:
    """What scipy makes of the file, played again and again."""
    signals = voltages(recording)
    volts = np.stack([one.data for one in signals], axis=1) * 1e-6
    rate = signals[0].sampling_frequency
    sections = [
        signal.butter(4, [1.0, 40.0], "bandpass", fs=rate, output="sos"),
        signal.tf2sos(*signal.iirnotch(50.0, 30.0, fs=rate)),
    ]
    played = np.tile(volts, (rows // len(volts) + 1, 1))[:rows]
    for sos in sections:
        played = signal.sosfilt(sos, played, axis=0)
    return played


def check(show: Show, recording: Path, seconds: float) -> dict[str, Any]:
    found = show.run(recording, seconds)
    assert (found["lost"], found["lost_samples"], found["state"]) == (0, 0, found["state"])
    counts = found["recording"]["streams"][STREAM]
    assert (
        counts["produced_rows"]
        == counts["durable_rows"]
        == found["sources"]["recording"]["samples"]
    )
    with RecordedFile(found["recording"]["file"]) as file:
        stream = file.streams[STREAM]
        rows = stream.dataset("samples")[:]
        stamps = np.array([lsl_secs(int(t)) for t in stream.times(0, stream.rows)])
        assert file.about()["pipelines"]["eeg"]["text"] == EXAMPLE.read_text()
    expected = wanted(recording, len(rows))
    scale = np.abs(expected).max(axis=0)
    assert (np.abs(rows - expected).max(axis=0) < 1e-6 * scale).all()
    assert np.array_equal(rows[: len(show.from_ring)], show.from_ring)
    heard = np.array(show.listener.values)
    places = np.searchsorted(stamps, np.array(show.listener.stamps) - 0.1 * np.diff(stamps[:2]))
    assert np.array_equal(np.diff(places), np.ones(len(heard) - 1))
    assert len(heard) > 0.5 * len(rows)
    assert np.allclose(heard, rows[places] * np.float32(1e6), rtol=1e-6, atol=1e-12)
    return found


@pytest.mark.parametrize("made", ["generated", *FOUND], ids=lambda one: Path(one).name)
def test_a_recording_is_filtered_recorded_and_sent(show: Show, made: Any, tmp_path: Path) -> None:
    recording = generated(tmp_path) if made == "generated" else made
    check(show, recording, 15.0 if made == "generated" else 6.0)


@pytest.mark.soak
def test_nothing_is_lost_for_long(show: Show, tmp_path: Path) -> None:
    found = check(show, generated(tmp_path), min(600.0, seconds_for("pipeline")))
    report(
        "pipeline: samples from a file to ring, file and LSL",
        found["sources"]["recording"]["samples"],
    )
    report("pipeline: packets lost", found["lost"])
