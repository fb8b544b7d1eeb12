"""Every sink writes what a channel's numbers stand for: number times scale, and its offset."""

from __future__ import annotations

import csv
import uuid
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pylsl
import pytest
from pipeline_kit import form, site, view

from ringdaq.pipeline.parts import RefusedError
from ringdaq.pipeline.sinks.csv_file import CsvFile
from ringdaq.pipeline.sinks.edf_file import EdfFile
from ringdaq.pipeline.sinks.lsl_outlet import LslOutlet
from ringdaq.pipeline.stages.threshold import Threshold

FORMS = {
    "counts": form("raw", scale=0.5e-3, offset=0.1, channels=1),
    "floats": form("voltage", scale=2.0, offset=-5.0, unit="mV", channels=1),
}
STORED = np.arange(10, 260).reshape(-1, 1)


def microvolts(format: Any) -> Any:
    (channel,) = format.channels
    return (STORED[:, 0] * channel.scale + channel.offset) * {"V": 1e6, "mV": 1e3}[channel.unit]


@pytest.mark.parametrize("kind", FORMS)
def test_csv(tmp_path: Path, kind: str) -> None:
    sink = CsvFile(CsvFile.Options(file="out.csv"), site(tmp_path))
    sink.open(FORMS[kind])
    sink.take(view(STORED, FORMS[kind]))
    sink.close()
    with sink.path.open(newline="") as file:
        heading, *rows = csv.reader(file)
    unit = {"E1 [V]": 1e6, "E1 [mV]": 1e3}[heading[1]]
    found = np.array([float(row[1]) for row in rows]) * unit
    np.testing.assert_allclose(found, microvolts(FORMS[kind]), rtol=1e-9)


@pytest.mark.parametrize("kind", FORMS)
def test_bdf(tmp_path: Path, kind: str) -> None:
    sink = EdfFile(EdfFile.Options(file="out.bdf"), site(tmp_path))
    sink.open(FORMS[kind])
    sink.take(view(STORED, FORMS[kind]))
    sink.close()
    (signal,) = edfio.read_bdf(tmp_path / "out.bdf").signals
    assert signal.physical_dimension == "uV"
    np.testing.assert_allclose(signal.data, microvolts(FORMS[kind]), atol=1.0)


@pytest.mark.parametrize("kind", FORMS)
def test_lsl(kind: str) -> None:
    name = f"ringdaq-test-{uuid.uuid4().hex}"
    sink = LslOutlet(LslOutlet.Options(stream=name), site())
    sink.open(FORMS[kind])
    (stream,) = pylsl.resolve_byprop("name", name, timeout=20)
    inlet = pylsl.StreamInlet(stream)
    inlet.open_stream(timeout=20)
    found = None
    for _ in range(100):  # until the outlet knows of its reader
        sink.take(view(STORED[:1], FORMS[kind]))
        found, _ = inlet.pull_sample(timeout=0.2)
        if found is not None:
            break
    assert inlet.info(timeout=20).get_channel_units() == ["microvolts"]
    inlet.close_stream()
    sink.close()
    assert found == pytest.approx(microvolts(FORMS[kind])[:1])


def test_a_stage_that_computes_refuses_numbers_that_stand_for_others() -> None:
    stage = Threshold(channel=0, level=1e-3)
    with pytest.raises(RefusedError, match="'E1' stand for others, by a scale of 2 and an offset"):
        stage.plan(FORMS["floats"], site())
