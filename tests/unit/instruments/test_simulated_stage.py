import threading

import pytest

from ringdaq.errors import InstrumentError, InstrumentFaultError, InstrumentTimeoutError, LimitError
from ringdaq.instruments.sim.stage import SimulatedStage, StageOptions


@pytest.fixture
def stage(timer):
    options = StageOptions(velocity=10.0, acceleration=100.0, settle_secs=0.05)
    return SimulatedStage("stage", options, timer)


def test_moves_at_finite_speed(stage, timer):
    stage.move_abs(20.0)
    assert stage.position() == 0.0
    timer.time += 1.05
    assert stage.position() == pytest.approx(10.0)
    timer.time += 1.05
    assert stage.position() == 20.0


def test_waits_for_the_motion_and_the_settling(stage, timer):
    begun = timer.now()
    stage.move_abs(20.0)
    stage.wait_settled(10.0)
    assert timer.now() - begun == pytest.approx(2.15)


def test_relative_moves_begin_where_it_is(stage):
    for _ in range(3):
        stage.move_rel(1.5)
        stage.wait_settled(10.0)
    assert stage.position() == 4.5


def test_instant_takes_no_time(timer):
    stage = SimulatedStage("stage", StageOptions(mode="instant"), timer)
    begun = timer.now()
    stage.move_abs(50.0)
    stage.wait_settled(1.0)
    assert (stage.position(), timer.now()) == (50.0, begun)


def test_positions_are_multiples_of_the_encoder_s_step(timer):
    stage = SimulatedStage("stage", StageOptions(mode="instant", resolution=0.01), timer)
    stage.move_abs(1.23456)
    assert stage.position() == 1.23


@pytest.mark.parametrize("target", [float("nan"), float("inf"), True, "3", None])
def test_refuses_what_is_no_position(stage, target):
    with pytest.raises(LimitError, match="finite number"):
        stage.move_abs(target)


def test_hard_stops_hold(stage):
    with pytest.raises(LimitError, match="hard stops"):
        stage.move_abs(100.1)
    assert stage.position() == 0.0


def test_stop_brakes(stage, timer):
    stage.move_abs(50.0)
    timer.time += 1.0
    before = stage.position()
    stage.stop()
    stage.wait_settled(1.0)
    assert stage.position() == pytest.approx(before + 0.5)


def test_a_wait_that_is_too_short_says_so(stage):
    stage.move_abs(50.0)
    with pytest.raises(InstrumentTimeoutError, match="still moving"):
        stage.wait_settled(1.0)


def test_stop_from_another_thread_ends_a_wait():
    stage = SimulatedStage("stage", StageOptions(velocity=1.0))
    stage.move_abs(90.0)
    raised = []
    waiting = threading.Event()

    def wait():
        waiting.set()
        try:
            stage.wait_settled(100.0)
        except InstrumentFaultError as error:
            raised.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    waiting.wait(10.0)
    while thread.is_alive():
        # Again and again, because the thread may not wait yet.
        stage.move_abs(90.0)
        stage.stop()
        thread.join(0.05)
    assert not raised or "was stopped" in raised[0]
    assert stage.position() < 80.0


def test_settings_can_be_changed_but_not_guessed(stage):
    stage.configure(velocity=2.0)
    assert stage.settings()["velocity"] == {"value": 2.0, "unit": "mm/s"}
    with pytest.raises(InstrumentError, match="did you mean 'velocity'"):
        stage.configure(velocty=1.0)
    with pytest.raises(LimitError):
        stage.configure(velocity=-1.0, acceleration=5.0)
    assert stage.settings()["velocity"]["value"] == 2.0
