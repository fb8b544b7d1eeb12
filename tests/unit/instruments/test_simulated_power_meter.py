import statistics

import pytest

from ringdaq.instruments.sim.power_meter import PowerMeterOptions, SimulatedPowerMeter


def meter_at(place, timer, **options):
    options = PowerMeterOptions(centre=5.0, width=2.0, peak=1e-3, background=0.0, **options)
    return SimulatedPowerMeter("meter", options, lambda: place, timer)


def test_the_peak_lies_over_the_stage(timer):
    readings = {x: meter_at(x, timer, noise=0.0, noise_floor=0.0).read() for x in (3.0, 5.0, 7.0)}
    assert readings[5.0] == pytest.approx(1e-3)
    assert readings[3.0] == readings[7.0] == pytest.approx(1e-3 * 0.60653066)


def test_readings_scatter_as_stated(timer):
    meter = meter_at(5.0, timer, noise=0.05)
    assert statistics.stdev(meter.read() for _ in range(2000)) == pytest.approx(5e-5, rel=0.1)


def test_the_same_seed_gives_the_same_readings(timer):
    first, second, other = (meter_at(5.0, timer, seed=s) for s in (1, 1, 2))
    assert first.read() == second.read() != other.read()


def test_a_reading_takes_its_time(timer):
    begun = timer.now()
    meter = meter_at(5.0, timer, integration_secs=0.5)
    meter.read()
    assert timer.now() - begun == pytest.approx(0.5)
    assert meter.reading_unit == "W"
