import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ringdaq.instruments.sim.motion import brake, redirect, resting, trapezoid

places = st.floats(-1000, 1000)
speeds = st.floats(0.01, 1000)


def test_a_long_way_is_a_trapezoid():
    motion = trapezoid(0.0, 0.0, 20.0, velocity=10.0, acceleration=100.0)
    assert motion.end == pytest.approx(2.1)
    assert motion.velocity_at(1.0) == pytest.approx(10.0)
    assert motion.position_at(1.05) == pytest.approx(10.0)


def test_a_short_way_is_a_triangle():
    motion = trapezoid(0.0, 0.0, 0.25, velocity=10.0, acceleration=100.0)
    assert motion.end == pytest.approx(0.1)
    assert motion.velocity_at(0.05) == pytest.approx(5.0)


@given(places, places, speeds, speeds)
@example(0.0, 5e-324, 1.0, 0.5)
def test_every_motion_arrives_and_never_goes_too_fast(start, target, velocity, acceleration):
    motion = trapezoid(5.0, start, target, velocity=velocity, acceleration=acceleration)
    assert motion.position_at(motion.end) == target
    span = max(0.0, motion.end - 5.0)
    for step in range(11):
        time = 5.0 + span * step / 10
        assert abs(motion.velocity_at(time)) <= velocity * (1 + 1e-9)
        low, high = sorted((start, target))
        slack = 1e-6 * (1 + abs(low) + abs(high))
        assert low - slack <= motion.position_at(time) <= high + slack


@given(places, places, places, st.floats(0, 1))
def test_a_new_target_keeps_position_and_speed_continuous(start, first, second, when):
    motion = trapezoid(0.0, start, first, velocity=10.0, acceleration=50.0)
    now = max(0.0, motion.end) * when
    changed = redirect(now, motion, second, velocity=10.0, acceleration=50.0)
    assert changed.position_at(changed.end + 1) == second
    if changed.end > now:
        assert changed.position_at(now) == pytest.approx(motion.position_at(now), abs=1e-6)
        assert changed.velocity_at(now) == pytest.approx(motion.velocity_at(now), abs=1e-4)


def test_braking_ends_at_rest():
    stopped = brake(1.0, 5.0, -10.0, acceleration=100.0)
    assert stopped.end == pytest.approx(1.1)
    assert stopped.target == pytest.approx(4.5)
    assert stopped.velocity_at(1.2) == 0.0


def test_what_rests_stays():
    assert resting(3.0).position_at(-1e9) == 3.0
