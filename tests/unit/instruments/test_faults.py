import threading

import pytest

from ringdaq.errors import (
    InstrumentError,
    InstrumentFaultError,
    InstrumentTimeoutError,
    NotConnectedError,
)
from ringdaq.instruments.sim.faults import FaultOptions, Faults
from ringdaq.instruments.sim.stage import SimulatedStage, StageOptions
from ringdaq.instruments.timing import MonotonicTimer


def outcomes(timer, calls=200, **options):
    faults = Faults("device", FaultOptions(**options), timer)
    found = []
    for _ in range(calls):
        try:
            faults.check("read")
            found.append("")
        except InstrumentError as error:
            found.append(type(error).__name__)
    return found


def test_the_same_seed_fails_at_the_same_calls(timer):
    first, second = (outcomes(timer, seed=3, rate=0.2) for _ in range(2))
    assert first == second != outcomes(timer, seed=4, rate=0.2)
    assert set(first) == {
        "", "InstrumentFaultError", "InstrumentTimeoutError", "NotConnectedError",
    }  # fmt: skip


def test_no_rate_no_faults(timer):
    assert set(outcomes(timer, rate=0.0)) == {""}


def test_everything_fails_after_so_many_calls(timer):
    found = outcomes(timer, calls=10, rate=0.0, fail_after=4, kinds=["fault"])
    assert found == [""] * 4 + ["InstrumentFaultError"] * 6


def test_a_disconnected_device_stays_away_for_a_while(timer):
    found = outcomes(timer, calls=60, seed=1, rate=0.05, kinds=["disconnect"], disconnect_calls=2)
    first = found.index("NotConnectedError")
    assert found[first : first + 3] == ["NotConnectedError"] * 3


def test_a_timeout_hangs_for_its_time(timer):
    begun = timer.now()
    assert set(outcomes(timer, calls=1, rate=1.0, kinds=["timeout"], timeout_secs=7.0)) == {
        "InstrumentTimeoutError"
    }
    assert timer.now() - begun == pytest.approx(7.0)


def test_garbage_is_a_fault_with_the_device_s_bytes(timer):
    faults = Faults("device", FaultOptions(rate=1.0, kinds=["garbage"]), timer)
    with pytest.raises(InstrumentFaultError, match="must make sense; it said b"):
        faults.check("read")


def test_stop_ends_a_call_that_hangs():
    options = FaultOptions(rate=1.0, kinds=["timeout"], timeout_secs=1000.0)
    stage = SimulatedStage("stage", StageOptions(mode="chaos", faults=options), MonotonicTimer())
    raised = []

    def ask():
        try:
            stage.position()
        except InstrumentTimeoutError as error:
            raised.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():
        stage.make_safe()
        thread.join(0.01)
    assert "told to stop" in raised[0]


def test_stop_and_make_safe_always_reach_the_device(timer):
    options = FaultOptions(rate=1.0, kinds=["disconnect"])
    stage = SimulatedStage("stage", StageOptions(mode="chaos", faults=options), timer)
    with pytest.raises(NotConnectedError):
        stage.move_abs(1.0)
    stage.stop()
    stage.make_safe()
