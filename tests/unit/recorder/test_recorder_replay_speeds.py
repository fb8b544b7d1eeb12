"""Odd speeds play at their speed for as long as a recording may be."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest
from click.testing import CliRunner
from pydantic import ValidationError
from recorder_bench import STEP

from ringdaq.cli.replay import replay
from ringdaq.instruments import find_driver
from ringdaq.recorder.readback import RecordedFile
from ringdaq.recorder.replay import RecordingReplay, ReplayOptions, as_ratio, stretched

MONTH_NANOS = 30 * 86_400 * 10**9
SPEEDS = [1 / 3, 2 / 3, 0.333333, 0.7071, 2.718281828, 3.141592653589793, 0.001, 999.999999, 1000.0]


class Kept:
    """A sink that keeps what is written."""

    def __init__(self):
        self.times = []

    def write_rows(self, times, columns):
        self.times += times.tolist()


@pytest.fixture
def recorded(bench):
    bench.open("stage", "eeg")
    recording = bench.record()
    bench.produce(20)
    assert bench.end(recording)["state"] == "sealed"
    return bench.file


class NoWaiting:
    """Time that is always up."""

    def now(self):
        return 0.0

    def wait_until_set(self, event, secs):
        return event.is_set()


@pytest.mark.parametrize("speed", SPEEDS)
def test_times_are_stretched_by_the_speed(speed):
    since = np.array([0, 1, 923, 10**9, 14_400 * 10**9, MONTH_NANOS], np.int64)
    found = stretched(since, as_ratio(speed)).tolist()
    ratio = as_ratio(speed)
    assert found == [n * ratio.denominator // ratio.numerator for n in since.tolist()]
    assert found == pytest.approx((since / speed).tolist(), rel=1e-6, abs=1)


def test_a_third_is_a_third():
    assert as_ratio(1 / 3) == Fraction(1, 3)
    assert as_ratio(0.123456) == Fraction("0.123456")


@pytest.mark.parametrize("speed", [1 / 3, 0.7071, 2.718281828])
def test_rows_of_a_recording_come_at_an_odd_speed(recorded, speed):
    options = ReplayOptions(file=recorded, speed=speed, streams=["stage"])
    player = RecordingReplay("r", options, RecordedFile(recorded), NoWaiting())
    sink = Kept()
    player.run({"stage": sink}, threading.Event())
    player.close()
    since = np.array(sink.times) - sink.times[0]
    assert since.tolist() == pytest.approx([n * STEP / speed for n in range(20)], rel=1e-6, abs=1)


def test_the_rate_of_samples_stays_a_ratio_that_can_be_written(recorded):
    with RecordedFile(recorded) as file:
        player = RecordingReplay("r", ReplayOptions(file=recorded, speed=1 / 3), file)
        [eeg] = [spec for spec in player.stream_specs() if spec.name == "eeg"]
    assert eeg.sample_rate == Fraction(512, 9)


@pytest.mark.parametrize("speed", [0.0009, 1e-9, 0.0, -1.0, 1000.1])
def test_speeds_that_make_no_sense_are_refused(recorded, speed):
    with pytest.raises(ValidationError, match=r"0\.001|1000"):
        find_driver("replay.recording").options(file=recorded, speed=speed)
    done = CliRunner().invoke(replay, [str(recorded), "--speed", str(speed)])
    assert done.exit_code == 2
    assert "0.001<=x<=1000" in done.output
