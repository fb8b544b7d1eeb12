"""The CSV sink: a line a sample, for every kind of packet."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from pipeline_kit import T0, form, site, view

from ringdaq.config import parse_pipeline
from ringdaq.errors import RecordingError
from ringdaq.pipeline import RunningPipeline, build, check
from ringdaq.pipeline.sinks.csv_file import CsvFile


def written(folder: Path, format: Any, *packets: Any) -> list[list[str]]:
    sink = CsvFile(CsvFile.Options(file="out.csv"), site(folder))
    sink.open(format)
    for packet in packets:
        sink.take(packet)
    sink.close()
    with sink.path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("kind", ["voltage", "filtered"])
def test_each_sample_is_a_line_with_its_own_time(tmp_path: Path, kind: str) -> None:
    values = np.random.default_rng(1).standard_normal((16, 3)).astype(np.float32) * 1e-5
    format = form(kind)
    rows = written(
        tmp_path, format, view(values[:8], format), view(values[8:], format, first_sample=8)
    )
    assert rows[0] == ["time_nanos", "E1 [V]", "E2 [V]", "E3 [V]"]
    assert [int(row[0]) for row in rows[1:]] == [T0 + n * 4_000_000 for n in range(16)]
    found = np.array([row[1:] for row in rows[1:]], dtype=np.float64)
    assert np.array_equal(found.astype(np.float32), values)


def test_counts_come_as_volts_from_which_each_count_can_be_had_back(tmp_path: Path) -> None:
    scale = 4.5 / 24 / 2**23
    counts = np.array([[-(2**23), 0, 2**23 - 1], [1, -1, 4_194_303]], np.int32)
    format = form("raw", scale=scale)
    rows = written(tmp_path, format, view(counts, format))
    found = np.array([row[1:] for row in rows[1:]], dtype=np.float64)
    assert found[0, 0] == pytest.approx(-0.1875)
    assert np.array_equal(np.rint(found / scale), counts)


def test_spectra_have_a_line_a_row_with_the_rows_name(tmp_path: Path) -> None:
    format = form("fft", rows=("0 Hz", "0.5 Hz", "1 Hz"), unit="V²/Hz")
    values = np.arange(9).reshape(3, 3)
    rows = written(tmp_path, format, view(values, format), view(values, format, T0 + 5))
    assert rows[0][:3] == ["time_nanos", "row", "E1 [V²/Hz]"]
    assert [row[:2] for row in rows[1:]] == [
        [str(at), name] for at in (T0, T0 + 5) for name in format.rows
    ]
    assert [float(cell) for cell in rows[3][2:]] == [6, 7, 8]


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    format = form()
    for count in range(1, 4):
        written(tmp_path, format, *[view(np.zeros((1, 3)), format)] * count)
    lines = {p.name: len(p.read_text().splitlines()) for p in tmp_path.iterdir()}
    assert lines == {"out.csv": 2, "out-2.csv": 3, "out-3.csv": 4}


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="a folder that is there"):
        written(tmp_path / "missing", form())


def test_the_shortest_graph_that_records_writes_a_line_for_every_sample(tmp_path: Path) -> None:
    text = """
        [[stage]]
        type = "edf_replay"
        file = "short.edf"
        loop = false
        speed = 100
        [[stage]]
        type = "to_voltage"
        [[stage]]
        type = "csv_sink"
        file = "out.csv"
    """
    counts = np.arange(-400, 400, dtype=np.int16)
    signal = edfio.EdfSignal.from_digital(
        counts, 200, label="Cz", physical_dimension="uV", physical_range=(-3276.8, 3276.7)
    )
    edfio.Edf([signal]).write(tmp_path / "short.edf")
    config = parse_pipeline(text, tmp_path / "pipeline.toml")
    graph = check(config, rings=tmp_path / "rings", connect=True)
    with RunningPipeline(build(graph)) as pipeline:
        deadline = time.monotonic() + 30
        while not pipeline.over:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert pipeline.drain(30)
    with (tmp_path / "out.csv").open(newline="") as file:
        heading, *lines = csv.reader(file)
    assert heading == ["time_nanos", "Cz [V]"]
    assert len(lines) == 800
    found = [float(value) for _, value in lines]
    np.testing.assert_allclose(found, counts * 1e-7, rtol=1e-5, atol=1e-12)
    assert set(np.diff([int(at) for at, _ in lines]).tolist()) == {50_000}
