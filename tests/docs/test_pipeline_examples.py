"""Every example of a pipeline runs, loses nothing, and fills its streams."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT

from ringdaq.config import load_pipeline
from ringdaq.pipeline import RunningPipeline, build, check
from ringdaq.streams import StreamReader

FOLDER = ROOT / "examples/pipelines"
PIPELINES = sorted(FOLDER.glob("*.toml"))
DEADLINE_SECS = 60.0
RECORDS = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The examples, with a recording where one is played."""
    edfio = pytest.importorskip("edfio")
    path = tmp_path / "examples"
    shutil.copytree(FOLDER, path, ignore=shutil.ignore_patterns("__pycache__"))
    random = np.random.default_rng(0)
    signals = [
        edfio.EdfSignal(
            random.normal(0, 20, 256 * 10), 256, label=f"EEG {name}", physical_dimension="uV",
            physical_range=(-200, 200),
        )
        for name in ("Fz", "Cz", "Pz")
    ]  # fmt: skip
    edfio.Edf(signals).write(path / "recording.edf")
    return path


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "lsl_api.cfg"
    config.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -2\n")
    monkeypatch.setenv("LSLAPICFG", str(config))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def wait_until(done: Callable[[], bool], pipeline: RunningPipeline) -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not done():
        assert pipeline.failures() == []
        assert time.monotonic() < deadline, pipeline.statistics()
        time.sleep(0.01)


def test_there_are_examples() -> None:
    assert "eeg.toml" in {path.name for path in PIPELINES}


@pytest.mark.parametrize("name", [path.name for path in PIPELINES])
@pytest.mark.slow
def test_an_example_runs(name: str, folder: Path, tmp_path: Path, environment: None) -> None:
    if "lsl_" in (folder / name).read_text():
        pytest.importorskip("mne_lsl")
    rings = tmp_path / "rings"
    graph = check(load_pipeline(folder / name), rings=rings, connect=True)
    built = build(graph)
    with RunningPipeline(built) as pipeline:
        for path in built.rings.values():
            with StreamReader.open(path) as reader:

                def enough(reader: StreamReader = reader) -> bool:
                    return reader.next_sequence >= RECORDS

                wait_until(enough, pipeline)
                assert reader.spec.simulated == ("simulated" in (folder / name).read_text())
                record = reader.read(0).to_numpy()
                values = [value for key, value in record.items() if key != "time"]
                assert np.isfinite(values[0]).all()
        assert pipeline.failures() == []
        assert pipeline.statistics()["lost"] == 0
