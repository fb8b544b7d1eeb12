"""The EDF sink: files that others read, one for each stretch."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pyedflib
import pytest
from pipeline_kit import T0, form, site, view

from ringdaq.config import parse_pipeline
from ringdaq.pipeline import RunningPipeline, build, check
from ringdaq.pipeline.parts import RefusedError
from ringdaq.pipeline.sinks.edf_file import EdfFile

SCALE = 4.5 / 24 / 2**23


def sink_for(folder: Path, format: Any, name: str = "out.bdf", **options: Any) -> EdfFile:
    sink = EdfFile(EdfFile.Options(file=name, **options), site(folder))
    sink.check(format)
    sink.open(format)
    return sink


def counts(rows: int) -> Any:
    return np.random.default_rng(2).integers(-(2**23), 2**23, (rows, 3)).astype(np.int32)


def test_counts_go_into_bdf_exactly_and_an_independent_reader_finds_them(tmp_path: Path) -> None:
    values, format = counts(500), form("raw", scale=SCALE, simulated=True)
    sink = sink_for(tmp_path, format)
    for first in range(0, 500, 50):
        sink.take(view(values[first : first + 50], format, first_sample=first))
    sink.close()
    assert [p.name for p in tmp_path.iterdir()] == ["out.bdf"]
    with pyedflib.EdfReader(str(tmp_path / "out.bdf")) as reader:
        assert reader.getSignalLabels() == ["E1", "E2", "E3"]
        assert [reader.getPhysicalDimension(n) for n in range(3)] == ["uV"] * 3
        assert reader.getSampleFrequency(0) == 250
        for place in range(3):
            assert np.array_equal(reader.readSignal(place, digital=True), values[:, place])
        assert reader.readSignal(0)[0] == pytest.approx(values[0, 0] * SCALE * 1e6, abs=0.02)
    (note,) = edfio.read_bdf(tmp_path / "out.bdf").annotations
    assert "simulated" in note.text


def test_volts_are_rounded_between_their_ends_and_began_when_they_did(tmp_path: Path) -> None:
    values = (np.random.default_rng(3).standard_normal((250, 3)) * 1e-5).astype(np.float32)
    format = form("filtered")
    sink = sink_for(tmp_path, format, "out.edf")
    sink.take(view(values, format))
    sink.close()
    made = edfio.read_edf(tmp_path / "out.edf")
    assert made.starttime.microsecond == T0 % 10**9 // 1000
    step = (values.max() - values.min()) * 1e6 / 2**15
    np.testing.assert_allclose(made.signals[1].data, values[:, 1] * 1e6, rtol=0, atol=step)


def test_a_gap_begins_a_file_and_is_counted(tmp_path: Path) -> None:
    values, format = counts(100), form("raw", scale=SCALE)
    sink = sink_for(tmp_path, format)
    sink.take(view(values[:50], format))
    sink.take(view(values[50:], format, first_sample=75))
    sink.close()
    assert sink.statistics() == {"files": 2, "gaps": 1, "left_rows": 0, "missing": 0}
    second = edfio.read_bdf(tmp_path / "out-2.bdf")
    assert np.array_equal(second.signals[0].digital, values[50:, 0])


def test_a_long_stretch_is_cut_into_files_that_lose_nothing(tmp_path: Path) -> None:
    values, format = counts(750), form("raw", scale=SCALE)
    sink = sink_for(tmp_path, format, file_secs=1)
    for first in range(0, 750, 30):
        sink.take(view(values[first : first + 30], format, first_sample=first))
    sink.close()
    files = [edfio.read_bdf(path) for path in sink.files]
    assert [path.name for path in sink.files] == ["out.bdf", "out-2.bdf", "out-3.bdf"]
    found = np.concatenate([file.signals[2].digital for file in files])
    assert np.array_equal(found, values[:, 2])
    assert sink.statistics() == {"files": 3, "gaps": 0, "left_rows": 0, "missing": 0}


def test_rows_that_make_no_data_record_are_counted(tmp_path: Path) -> None:
    format = form("raw", scale=SCALE)
    sink = sink_for(tmp_path, format)
    sink.take(view(counts(60), format))
    sink.close()
    assert sink.statistics() == {"files": 1, "gaps": 0, "left_rows": 10, "missing": 0}


def test_silence_and_nothing_at_all_make_no_trouble(tmp_path: Path) -> None:
    format = form()
    sink = sink_for(tmp_path, format)
    sink.take(view(np.zeros((50, 3)), format))
    sink.close()
    assert not edfio.read_bdf(tmp_path / "out.bdf").signals[0].data.any()
    sink_for(tmp_path, format, "nothing.bdf").close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.bdf"]


def test_what_edf_cannot_hold_is_refused_before_anything_runs(tmp_path: Path) -> None:
    assert "fft" not in EdfFile.takes
    with pytest.raises(RefusedError, match="data records of whole samples"):
        sink_for(tmp_path, form(rate=Fraction(1009, 61)))
    with pytest.raises(ValueError, match=r"must end in .edf or .bdf; found 'out.txt'"):
        EdfFile.Options(file="out.txt")


def test_what_the_sink_counts_is_among_the_pipelines_figures(tmp_path: Path) -> None:
    text = """
        [[stage]]
        type = "simulated_eeg"
        channels = 2
        rate_hz = 1000.0
        block_secs = 0.01
        [[stage]]
        name = "kept"
        type = "edf_sink"
        file = "kept.bdf"
        file_secs = 1
    """
    graph = check(parse_pipeline(text, tmp_path / "pipeline.toml"), rings=tmp_path / "rings")
    with RunningPipeline(build(graph)) as pipeline:
        deadline = time.monotonic() + 30
        while pipeline.statistics()["sinks"]["kept"].get("files", 0) < 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert pipeline.drain(30)
        figures = pipeline.statistics()["sinks"]["kept"]
    files = sorted(tmp_path.glob("*.bdf"))
    assert figures["files"] == len(files)
    rows = sum(len(edfio.read_bdf(path).signals[0].data) for path in files)
    assert rows + figures["left_rows"] == 10 * figures["packets"]
