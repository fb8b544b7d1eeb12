"""Soft limits and the safe state hold whoever asks."""

import math
import threading

import pytest

from ringdaq.daemon.safety import check_limit, check_number, make_all_safe, stop_all
from ringdaq.errors import LimitError


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True, "3", None, [1]])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(LimitError, match="position must be a"):
        check_number(value, instrument="stage", what="position")


@pytest.mark.parametrize("value", [-0.001, 100.001])
def test_a_value_beyond_the_limits_is_refused_with_the_limits(value):
    with pytest.raises(LimitError, match=r"within 0 to 100 mm; found .*; nothing moved") as caught:
        check_limit(
            value, {"position": (0.0, 100.0)}, instrument="stage", quantity="position", unit="mm"
        )
    assert caught.value.instrument == "stage"


@pytest.mark.parametrize("value", [0.0, 50.0, 100.0])
def test_the_limits_themselves_are_allowed(value):
    limits = {"position": (0.0, 100.0)}
    got = check_limit(value, limits, instrument="stage", quantity="position", unit="mm")
    assert got == value


class Calm:
    def __init__(self, name):
        self.name = name
        self.safe = False

    def make_safe(self):
        self.safe = True

    def rest(self, deadline_secs):
        pass


class Hung(Calm):
    def __init__(self, name):
        super().__init__(name)
        self.release = threading.Event()

    def make_safe(self):
        self.release.wait(30)


class Broken(Calm):
    def make_safe(self):
        raise OSError("cable out")


def test_one_that_hangs_or_breaks_keeps_no_other_from_its_safe_state():
    hung, calm, broken = Hung("hung"), Calm("calm"), Broken("broken")
    outcome = make_all_safe([hung, broken, calm], deadline_secs=0.1)
    assert calm.safe
    assert outcome == {
        "calm": "safe",
        "broken": "OSError: cable out",
        "hung": "no answer within 0.1 s",
    }
    hung.release.set()


class Axis:
    def __init__(self, name, log, halt=lambda: None):
        self.name, self._log, self._halt = name, log, halt

    def calm(self):
        self._log.append(f"{self.name} calmed")

    def halt(self):
        self._halt()
        self._log.append(f"{self.name} stopped")


def test_all_are_calmed_before_any_is_stopped_and_one_that_hangs_holds_up_no_other():
    log, release = [], threading.Event()

    def broken():
        raise OSError("cable out")

    axes = [Axis("hung", log, lambda: release.wait(30)), Axis("broken", log, broken)]
    outcome = stop_all([*axes, Axis("good", log)], deadline_secs=0.1)
    assert log == ["hung calmed", "broken calmed", "good calmed", "good stopped"]
    assert outcome == {
        "hung": "no answer within 0.1 s",
        "broken": "OSError: cable out",
        "good": "stopped",
    }
    release.set()
