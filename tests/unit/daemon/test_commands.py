"""What reaches a driver, and what never does."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from daemon_lab import LAB, join_plans, scan
from run_stand import RunStand, until

from ringdaq.errors import InstrumentBusyError, InstrumentTimeoutError, LimitError


@pytest.fixture
def lab(tmp_path, ring_directory):
    lab = RunStand(tmp_path, ring_directory, LAB)
    yield lab
    lab.close()


def test_a_relative_move_ends_within_limits_wherever_the_axis_is_by_then(lab, monkeypatch):
    stage = lab.drivers["stage"]
    stage.move_abs(20.0)
    position = stage.position

    def overtaken():
        monkeypatch.undo()
        found = position()
        stage.move_abs(90.0)  # another client's
        return found

    monkeypatch.setattr(stage, "position", overtaken)
    assert lab.hosts["stage"].call("move_rel", [80.0], {}, who="me") == 100.0


@pytest.mark.parametrize("timeout", [0, -1.0, 1e300, float("nan"), True])
@pytest.mark.parametrize("verb", ["move_abs", "move_rel"])
def test_a_timeout_that_is_none_is_refused_before_anything_moves(lab, verb, timeout):
    with pytest.raises(LimitError, match="timeout must"):
        lab.hosts["stage"].call(verb, [8.0], {"timeout": timeout}, who="me")
    assert lab.drivers["stage"].position() == 0.0


@pytest.mark.parametrize("velocity", [0.0, -1.0])
def test_a_flight_at_no_speed_is_refused_before_anything_moves(lab, velocity):
    with pytest.raises(LimitError, match="velocity must be above 0"):
        scan(lab, "fly_scan", "stage", 5.0, 6.0, velocity=velocity)
    assert lab.drivers["stage"].position() == 0.0


@pytest.fixture
def hanging_meter(lab, monkeypatch):
    """A meter whose second reading comes back when the event is set; `calls` are all readings."""
    release, calls = threading.Event(), []
    read = lab.drivers["meter"].read

    def slow():
        calls.append("read")
        if len(calls) == 2:
            release.wait(30)
        return read()

    monkeypatch.setattr(lab.drivers["meter"], "read", slow)
    return release, calls


def watched(monkeypatch, driver, *verbs):
    """What is called of these verbs, in order."""
    calls = []

    def noted(verb, real, *args, **kwargs):
        calls.append(verb)
        return real(*args, **kwargs)

    for verb in verbs:
        monkeypatch.setattr(driver, verb, partial(noted, verb, getattr(driver, verb)))
    return calls


def test_a_scan_that_was_given_up_commands_nothing_when_its_call_comes_back(
    lab, hanging_meter, monkeypatch
):
    release, readings = hanging_meter
    commands = watched(monkeypatch, lab.drivers["stage"], "move_abs", "stop", "configure")
    with pytest.raises(InstrumentTimeoutError, match="should end within"):
        scan(lab, "scan", "stage", 0.0, 4.0, 5, detectors=["meter"])
    before = list(commands)
    assert before.count("stop") == 1
    release.set()
    join_plans()
    assert commands == before
    assert len(readings) == 2


def test_a_flight_that_was_given_up_leaves_the_velocity_to_whoever_comes_next(
    lab, hanging_meter, monkeypatch
):
    release, _ = hanging_meter
    stage = lab.drivers["stage"]
    velocity = stage.settings()["velocity"]["value"]
    commands = watched(monkeypatch, stage, "stop", "configure")
    with pytest.raises(InstrumentTimeoutError):
        scan(lab, "fly_scan", "stage", 0.0, 4.0, ["meter"], velocity=2.0)
    assert commands == ["configure", "stop", "configure"]
    assert stage.settings()["velocity"]["value"] == velocity
    stage.configure(velocity=1.0)
    release.set()
    join_plans()
    assert stage.settings()["velocity"]["value"] == 1.0


def test_a_flight_that_fails_stops_before_its_velocity_is_put_back(lab, monkeypatch):
    def broken():
        raise OSError("the meter broke")

    commands = watched(monkeypatch, lab.drivers["train"], "stop", "configure")
    monkeypatch.setattr(lab.drivers["meter"], "read", broken)
    with pytest.raises(Exception, match="the meter broke"):
        scan(lab, "fly_scan", "train", 0.0, 50.0, ["meter"], velocity=2.0)
    assert commands == ["configure", "stop", "configure"]


def test_an_axis_whose_stop_fails_keeps_no_other_from_being_stopped(lab, monkeypatch):
    def unplugged(*_):
        raise OSError("unplugged")

    stops = watched(monkeypatch, lab.drivers["train"], "stop")
    monkeypatch.setattr(lab.drivers["stage"], "stop", unplugged)
    monkeypatch.setattr(lab.drivers["stage"], "position", unplugged)
    with pytest.raises(Exception, match="unplugged"):
        scan(lab, "list_scan", "stage", [50.0], "train", [0.0])
    assert stops == ["stop"]


def test_what_others_have_asked_for_is_not_carried_out_once_a_run_has_the_instrument(
    lab, monkeypatch
):
    began, release = threading.Event(), threading.Event()
    host, stage = lab.hosts["stage"], lab.drivers["stage"]
    position = stage.position

    def slow():
        began.set()
        release.wait(30)
        return position()

    monkeypatch.setattr(stage, "position", slow)
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(host.call, "position", [], {}, who="a client")
        assert began.wait(30)
        moving = pool.submit(host.call, "move_abs", [50.0], {}, who="a client")
        until(lambda: host._line._link.waiting)
        host.take("run 1")
        release.set()
        with pytest.raises(InstrumentBusyError, match="a run took it"):
            moving.result(30)
        asking.result(30)
    assert stage.position() == 0.0
