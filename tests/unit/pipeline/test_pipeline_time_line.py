"""Stretches and gaps, by the stamps that samples come with."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ringdaq.pipeline.sources.time_line import TimeLine

SECOND = 1_000_000_000
MILLI = 1_000_000


def line(rate: Fraction = Fraction(250), tolerance_nanos: int = 2 * MILLI) -> TimeLine:
    return TimeLine(rate, tolerance_nanos)


def test_blocks_that_follow_each_other_are_one_stretch_for_days() -> None:
    days = line(Fraction(3000))
    for block in range(0, 86_400 * 3000, 30_000):
        assert days.place(7 + int(block * SECOND / 3000), 30_000) == (7, block)
    assert days.counts() == {"gaps": 0, "lost_samples": 0, "moved": 0}


def test_jitter_below_the_tolerance_changes_nothing() -> None:
    jittered = line()
    assert [jittered.place(at, 1) for at in (0, 5 * MILLI, 7 * MILLI, 12 * MILLI)] == [
        (0, 0), (0, 1), (0, 2), (0, 3),
    ]  # fmt: skip


def test_a_gap_is_counted_and_begins_a_new_stretch() -> None:
    torn = line()
    torn.place(0, 10)
    assert torn.place(40 * MILLI + 28 * MILLI, 10) == (68 * MILLI, 0)
    assert torn.counts() == {"gaps": 1, "lost_samples": 7, "moved": 0}


def test_a_clock_that_runs_at_another_speed_is_followed_without_a_loss() -> None:
    drifting = line()
    speed = Fraction(1001, 1000)
    for block in range(100):
        first = int(block * 40 * MILLI * speed)
        origin, at = drifting.place(first, 10)
        assert at == 10 * block
        assert abs(origin + at * 4 * MILLI - first) <= 2 * MILLI
    assert drifting.gaps == drifting.lost_samples == 0
    assert drifting.moved == 1


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    back = line()
    back.place(SECOND, 10)
    assert back.place(0, 10) == (0, 0)
    assert back.counts() == {"gaps": 0, "lost_samples": 0, "moved": 1}


def test_one_base_stamp_for_every_block_is_told_and_not_believed_to_be_time_going_on() -> None:
    constant = line()
    places = [constant.place(SECOND, 32) for _ in range(3)]
    assert places == [(SECOND, 0)] * 3
    assert constant.moved == 2


def test_samples_with_a_stamp_each_are_cut_where_some_are_missing() -> None:
    stamps = np.concatenate([np.arange(5), np.arange(8, 12), np.arange(20, 21)]) * 4 * MILLI
    torn = line()
    assert torn.place_all(stamps) == [
        (0, 5, 0, 0), (5, 9, 32 * MILLI, 0), (9, 10, 80 * MILLI, 0),
    ]  # fmt: skip
    assert torn.counts() == {"gaps": 2, "lost_samples": 11, "moved": 0}
    assert torn.place_all(np.array([84 * MILLI])) == [(0, 1, 80 * MILLI, 1)]


@pytest.mark.parametrize("rate", [Fraction(250), Fraction(3000), Fraction(16_000)])
def test_stamps_of_a_steady_sender_are_one_run(rate: Fraction) -> None:
    stamps = np.array([int(n * SECOND / rate) for n in range(5000)])
    steady = line(rate, tolerance_nanos=1000)
    runs = [run for at in range(0, 5000, 7) for run in steady.place_all(stamps[at : at + 7])]
    assert {origin for _, _, origin, _ in runs} == {0}
    assert steady.gaps == steady.moved == 0


def test_a_loss_that_the_source_counted_itself_begins_a_new_stretch() -> None:
    counted = line()
    counted.place(0, 10)
    counted.lose(3)
    assert counted.place(41 * MILLI, 10) == (41 * MILLI, 0)
    assert counted.counts() == {"gaps": 1, "lost_samples": 3, "moved": 0}
