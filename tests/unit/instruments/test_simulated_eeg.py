import threading
from fractions import Fraction

import numpy as np
import pytest

from ringdaq.instruments.sim.brain import prime_from
from ringdaq.instruments.sim.eeg import CODE_UV, EegOptions, SimulatedEeg


@pytest.fixture(scope="module")
def eeg():
    return SimulatedEeg("eeg")


def band_power(signal, rate, low, high):
    power = np.abs(np.fft.rfft(signal * np.hanning(len(signal)))) ** 2
    frequencies = np.fft.rfftfreq(len(signal), 1 / rate)
    return power[(frequencies >= low) & (frequencies < high)].sum()


def test_the_default_is_32_channels_at_4_khz(eeg):
    (spec,) = eeg.stream_specs()
    assert (len(spec.channels), spec.sample_rate) == (32, 4000)
    assert {(c.dtype, c.unit, c.scale) for c in spec.channels} == {("float32", "uV", 1.0)}
    assert spec.simulated


def test_a_sample_depends_on_its_number_alone(eeg):
    whole = eeg.block(1000, 400)
    parts = [eeg.block(1000 + n, 25) for n in range(0, 400, 25)]
    assert np.array_equal(whole, np.concatenate(parts))
    assert whole.flags.c_contiguous


def test_seeds_differ_and_repeat():
    first, second, other = (SimulatedEeg("eeg", EegOptions(seed=s)) for s in (1, 1, 2))
    assert np.array_equal(first.block(0, 100), second.block(0, 100))
    assert not np.array_equal(first.block(0, 100), other.block(0, 100))


def test_rhythms_lie_where_a_head_has_them(eeg):
    (spec,) = eeg.stream_specs()
    sites = [c.name for c in spec.channels]
    rows = eeg.block(0, 4000 * 20)
    front, back = rows[:, sites.index("Fp1")], rows[:, sites.index("Oz")]
    assert band_power(back, 4000, 8, 13) > 4 * band_power(front, 4000, 8, 13)
    assert band_power(front, 4000, 0.5, 4) > 2 * band_power(back, 4000, 0.5, 4)
    assert 5 < rows.std() < 60


@pytest.mark.parametrize("line_hz", [50, 60])
def test_the_mains_hum_keeps_its_phase_for_ever(line_hz):
    eeg = SimulatedEeg("eeg", EegOptions(channels=1, line_hz=line_hz, line_uv=1000.0))
    for first in (0, 4000 * 86_400 * 365):
        rows = eeg.block(first, 4000)[:, 0]
        assert band_power(rows, 4000, line_hz - 2, line_hz + 2) > 0.9 * band_power(
            rows, 4000, 1, 2000
        )
        quarter = 4000 / line_hz / 4
        assert abs(rows[0]) < 200 < abs(rows[round(quarter)])


def test_codes_are_microvolts_through_their_scale():
    options = {"channels": 4, "seed": 5}
    volts = SimulatedEeg("eeg", EegOptions(**options)).block(0, 500)
    coded = SimulatedEeg("eeg", EegOptions(**options, dtype="int32"))
    codes = coded.block(0, 500)
    scale = coded.stream_specs()[0].channels[0].scale
    assert codes.dtype == np.int32
    assert scale == CODE_UV
    assert np.abs(codes * scale - volts).max() <= 0.51 * CODE_UV


def test_blocks_come_at_the_exact_rate(timer, list_sink):
    eeg = SimulatedEeg("eeg", EegOptions(channels=1, rate_hz=333.3), timer)
    stop = threading.Event()
    sink = list_sink(enough=400)
    sink.full = stop
    begun = timer.now()
    eeg.run({"eeg": sink}, stop)
    (spec,) = eeg.stream_specs()
    assert spec.sample_rate == Fraction(3333, 10)
    rows = sum(len(block) for _, block in sink.records)
    assert timer.now() - begun == pytest.approx(rows / 333.3)
    first, last = sink.records[0][0], sink.records[-1]
    before = rows - len(last[1])
    assert last[0] - first == int(before * 10**9 / Fraction(3333, 10))


def test_primes():
    assert [prime_from(n) for n in (2, 4, 14, 90, 64_000)] == [2, 5, 17, 97, 64_007]
