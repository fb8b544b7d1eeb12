"""On real EEG, where there is some, the core's filter and transform say what scipy says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import ringdaq_core as core

signal = pytest.importorskip("scipy.signal")
edfio = pytest.importorskip("edfio")
DATA = Path(__file__).parents[4] / "shared" / "data"
RECORDINGS = sorted(DATA.glob("*.[eb]df"))


@pytest.mark.skipif(not RECORDINGS, reason="no recordings here")
@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_is_filtered_as_scipy_does(path: Path) -> None:
    reader = edfio.read_bdf if path.suffix == ".bdf" else edfio.read_edf
    found = next(s for s in reader(path).signals if s.sampling_frequency >= 100)
    rate = found.sampling_frequency
    assert rate == int(rate)
    volts = np.asarray(found.data[: 40 * 256], np.float32)[:, None]
    volts = volts[: len(volts) // 256 * 256]
    sos = signal.butter(4, [1, 40], "bandpass", fs=rate, output="sos")
    made = core.Chain(1, 256, (int(rate), 1), [("sos", {"sos": sos})], kind="voltage")
    parts = [np.asarray(made.run(part)).copy() for part in np.split(volts, len(volts) // 256)]
    wanted = signal.sosfilt(sos, volts.astype(float), axis=0)
    assert np.abs(np.vstack(parts) - wanted).max() < 1e-6 * np.abs(wanted).max()
    fft = core.Chain(1, 256, (int(rate), 1), [("rfft", {"length": 256})], kind="voltage")
    spectrum = np.asarray(fft.run(parts[-1]))[:, 0]
    window = signal.get_window("hann", 256)
    expected = np.fft.rfft(parts[-1][:, 0].astype(float) * window)
    error = np.abs(spectrum[0::2] + 1j * spectrum[1::2] - expected).max()
    assert error < 1e-6 * np.abs(expected).max()
