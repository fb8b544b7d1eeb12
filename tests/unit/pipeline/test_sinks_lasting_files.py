"""What files of sinks hold when clocks drift, numbers are missing, or the disk is full."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from pipeline_kit import T0, form, site, view

from ringdaq.errors import RecordingError
from ringdaq.pipeline.sinks import edf_making
from ringdaq.pipeline.sinks.csv_file import CsvFile
from ringdaq.pipeline.sinks.edf_file import EdfFile

SAMPLE_NANOS = 4_000_000
VOLTS = (np.random.default_rng(5).standard_normal((500, 3)) * 1e-5).astype(np.float32)


def bdf(folder: Path, format: Any = None) -> EdfFile:
    sink = EdfFile(EdfFile.Options(file="out.bdf"), site(folder))
    sink.open(format or form())
    return sink


def take_all(sink: EdfFile | CsvFile, samples: int) -> None:
    for first in range(0, len(VOLTS), samples):
        sink.take(view(VOLTS[first : first + samples], form(), T0, first))


def rows(sink: EdfFile) -> list[int]:
    return [len(edfio.read_bdf(path).signals[0].data) for path in sink.files]


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes, as if the disk were full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# --- clocks


def test_a_drifting_clock_whose_samples_go_on_fills_one_file(tmp_path: Path) -> None:
    sink = bdf(tmp_path)
    for first in range(0, 500, 25):
        drift = first * SAMPLE_NANOS * 50 // 10**6
        sink.take(view(VOLTS[first : first + 25], form(), T0 + drift, first))
    sink.close()
    assert (rows(sink), sink.gaps) == ([500], 0)


@pytest.mark.parametrize("off", [-3 * SAMPLE_NANOS // 5, 3 * SAMPLE_NANOS // 5])
def test_a_stretch_that_begins_where_the_last_one_ended_is_no_gap(tmp_path: Path, off: int) -> None:
    sink = bdf(tmp_path)
    sink.take(view(VOLTS[:250], form(), T0, 0))
    sink.take(view(VOLTS[250:], form(), T0 + 250 * SAMPLE_NANOS + off, 0))
    sink.close()
    assert (rows(sink), sink.gaps) == ([500], 0)


def test_the_same_place_in_another_stretch_is_a_gap(tmp_path: Path) -> None:
    sink = bdf(tmp_path)
    sink.take(view(VOLTS[:250], form(), T0, 0))
    sink.take(view(VOLTS[250:], form(), T0 + 10**9, 250))
    sink.close()
    assert (rows(sink), sink.gaps) == ([250, 250], 1)


# --- numbers that are none


def test_a_number_that_is_none_costs_no_file(tmp_path: Path) -> None:
    values = VOLTS.copy()
    values[[17, 18, 300], 1] = np.nan, np.inf, -np.inf
    values[:, 2] = np.nan
    sink = bdf(tmp_path)
    sink.take(view(values, form()))
    sink.close()
    assert sink.statistics()["missing"] == 503
    made = edfio.read_bdf(tmp_path / "out.bdf")
    first, second, third = (signal.data for signal in made.signals)
    np.testing.assert_allclose(first, VOLTS[:, 0] * 1e6, atol=1e-3)
    there = np.isfinite(values[:, 1])
    np.testing.assert_allclose(second[there], VOLTS[there, 1] * 1e6, atol=1e-3)
    assert second[~there].max() < second[there].min()
    assert len(set(third.tolist())) == 1
    assert "503 missing values lie below all others" in made.annotations[0].text


def test_marks_lie_below_what_a_negative_scale_makes_of_numbers(tmp_path: Path) -> None:
    format = form(scale=-1.0, channels=1)
    values = VOLTS[:, :1].copy()
    values[7] = np.nan
    sink = bdf(tmp_path, format)
    sink.take(view(values, format))
    sink.close()
    assert np.argmin(edfio.read_bdf(tmp_path / "out.bdf").signals[0].data) == 7


# --- disks that are full


def test_a_full_disk_cuts_no_line_of_a_csv_file(tmp_path: Path) -> None:
    sink = CsvFile(CsvFile.Options(file="out.csv"), site(tmp_path))
    sink.open(form())
    with files_end_at(1500), pytest.raises(OSError, match="too large"):
        take_all(sink, 10)
    before = sink.path.read_bytes()
    assert before.endswith(b"\n")
    assert (before.count(b"\n") - 1) % 10 == 0
    sink.take(view(VOLTS[:10], form(), T0, 490))
    sink.close()
    assert sink.path.read_bytes()[len(before) :].count(b"\n") == 10


def test_what_was_kept_before_a_disk_was_full_becomes_a_file(tmp_path: Path) -> None:
    sink = bdf(tmp_path)
    with files_end_at(3000), pytest.raises(OSError, match="too large"):
        take_all(sink, 50)
    sink.close()
    assert rows(sink) == [250]


def test_a_file_that_cannot_be_made_leaves_its_rows_and_no_half_of_it(tmp_path: Path) -> None:
    sink = bdf(tmp_path)
    sink.take(view(VOLTS, form()))
    with files_end_at(1000), pytest.raises(RecordingError, match=r"kept .* float32 .*out.bdf.part"):
        sink.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.bdf.part"]
    kept = np.fromfile(tmp_path / "out.bdf.part", np.float32)
    assert np.array_equal(kept, VOLTS.ravel())


def test_rows_after_a_file_that_cannot_be_made_go_into_the_next(tmp_path: Path) -> None:
    sink = EdfFile(EdfFile.Options(file="out.bdf", file_secs=1), site(tmp_path))
    sink.open(form())
    (tmp_path / "out.bdf").touch()
    told: list[str] = []
    for first in (0, 250):
        try:
            sink.take(view(VOLTS[first : first + 250], form(), T0, first))
        except RecordingError as error:
            told.append(str(error))
    try:
        sink.close()
    except RecordingError as error:
        told.append(str(error))
    assert [said.rpartition("/")[2] for said in told] == ["out.bdf.part"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "out-2.bdf", "out.bdf", "out.bdf.part",
    ]  # fmt: skip
    assert len(edfio.read_bdf(tmp_path / "out-2.bdf").signals[0].data) == 250


def test_no_packet_waits_while_a_file_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, making = threading.Event(), threading.Event()
    write = edf_making.write_edf_file

    def slow(*arguments: Any) -> Any:
        making.set()
        assert go.wait(20)
        return write(*arguments)

    monkeypatch.setattr(edf_making, "write_edf_file", slow)
    sink = EdfFile(EdfFile.Options(file="out.bdf", file_secs=1), site(tmp_path))
    sink.open(form())
    sink.take(view(VOLTS[:250], form(), T0, 0))
    assert making.wait(20)
    sink.take(view(VOLTS[250:400], form(), T0, 250))
    assert sink.files == []
    go.set()
    sink.take(view(VOLTS[400:], form(), T0, 400))
    sink.close()
    assert rows(sink) == [250, 250]


def test_what_a_sink_that_died_left_is_told_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "out.bdf.part"
    left.write_bytes(b"samples")
    sink = bdf(tmp_path)
    sink.take(view(VOLTS, form()))
    sink.close()
    assert [path.name for path in sink.files] == ["out-2.bdf"]
    assert left.read_bytes() == b"samples"
    assert f"or died before it was complete: {left}" in caplog.text
