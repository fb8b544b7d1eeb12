"""Scans that scripts ask for and the daemon carries out."""

import time

import pytest

from ringdaq.errors import MissingCapabilityError, ScriptRejectedError
from ringdaq.streams import attach

SECOND_AXIS = """
[[instrument]]
name = "stage_y"
driver = "simulated.stage"
simulated = true
limits = { position = [-5.0, 5.0] }
options = { mode = "instant" }
"""


def until(condition, seconds=30.0):
    """Wait for a condition; a test that waits in vain fails here."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return result


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(recorder=False, more=SECOND_AXIS)


def start(daemon, source, **more):
    control = daemon.control()
    script = control.call("scripts.upload", {"content": source, "name": "scan.py"})
    return control, control.call("runs.start", {"script": script["script_id"], **more})["run_id"]


def rows_of(daemon, run_id):
    """The columns of a run's own stream."""
    with attach(f"run.{run_id}", directory=daemon.rings) as stream:
        found = {}
        for record in stream.follow("oldest", timeout=5):
            for name, values in record.columns().items():
                found.setdefault(name, []).extend(values.tolist())
    return found


def test_a_scan_goes_to_each_point_reads_and_records(daemon):
    source = "r = scan(stage, 0, 4, 5, detectors=[power_meter, camera])\nprint(sorted(r), r)\n"
    status = daemon.run(source)
    assert status["state"] == "completed", status["error"]
    assert status["progress_percent"] == 100
    assert status["instruments"] == ["camera", "power_meter", "stage"]
    rows = rows_of(daemon, status["run_id"])
    assert rows["stage_position"] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert rows["camera"] == [0, 1, 2, 3, 4]
    assert len(rows["power_meter"]) == 5
    assert "'stage_position': [0.0, 1.0, 2.0, 3.0, 4.0]" in status["output"]
    streams = {s["name"]: s["statistics"]["rows"] for s in daemon.control().call("streams.list")}
    assert streams["camera"] == 5


def test_a_grid_snakes_and_its_last_axis_is_the_fastest(daemon):
    source = "grid_scan(stage, 0, 2, 3, stage_y, -1, 1, 3, detectors=[power_meter])\n"
    status = daemon.run(source)
    assert status["state"] == "completed", status["error"]
    rows = rows_of(daemon, status["run_id"])
    assert rows["stage_position"] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert rows["stage_y_position"] == [-1, 0, 1, 1, 0, -1, -1, 0, 1]
    assert len(rows["power_meter"]) == 9


def test_a_list_scan_moves_its_axes_together(daemon):
    status = daemon.run("list_scan(stage, [3, 1, 2], stage_y, [0, -1, 1])\n")
    assert status["state"] == "completed", status["error"]
    rows = rows_of(daemon, status["run_id"])
    assert rows["stage_position"] == [3, 1, 2]
    assert rows["stage_y_position"] == [0, -1, 1]


def test_count_reads_and_moves_nothing(daemon):
    status = daemon.run("print(len(count([power_meter, stage], 7)['power_meter']))\n")
    assert status["state"] == "completed", status["error"]
    assert status["output"] == "7\n"
    assert rows_of(daemon, status["run_id"])["stage_position"] == [0.0] * 7


def test_adaptive_goes_where_the_callback_says(daemon):
    source = """\
def choose(rows):
    return rows[-1]["stage_position"] * 2 if len(rows) < 5 else None

print(adaptive(stage, 1, choose, detectors=[power_meter])["stage_position"])
"""
    status = daemon.run(source)
    assert status["state"] == "completed", status["error"]
    assert status["output"] == "[1.0, 2.0, 4.0, 8.0, 16.0]\n"
    assert rows_of(daemon, status["run_id"])["stage_position"] == [1, 2, 4, 8, 16]


def test_a_flight_records_while_it_moves(start_daemon):
    daemon = start_daemon(recorder=False, mode="realistic")
    source = "fly_scan(stage, 1, 3, detectors=[power_meter], period=0.01, velocity=5.0)\n"
    status = daemon.run(source + "print(stage.settings()['velocity']['value'])\n")
    assert status["state"] == "completed", status["error"]
    assert float(status["output"]) == 10.0
    places = rows_of(daemon, status["run_id"])["stage_position"]
    assert places[0] == pytest.approx(1.0)
    assert places[-1] == pytest.approx(3.0)
    assert len(places) > 5
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("scan(stage, 0, 51, 100)", "within 0 to 50"),
        ("scan(stage, 0, float('nan'), 100)", "finite"),
        ("list_scan(stage, [1, 2, 99])", "within 0 to 50"),
        ("grid_scan(stage, 0, 1, 2, stage_y, 0, 6, 3)", "within -5 to 5 mm"),
        ("scan(stage, 0, 1, 0)", "points must be a whole number"),
        ("scan(stage, 0, 1, 2.5)", "points must be a whole number"),
        ("grid_scan(stage, 0, 1, 10000, stage_y, 0, 1, 10000)", "may have 1000000 points"),
        ("grid_scan(stage, 0, 1, 2, stage, 0, 1, 2)", "axes must differ"),
        ("list_scan(stage, [1, 2], stage_y, [1])", "as many positions"),
        ("scan(power_meter, 0, 1, 5)", "power_meter cannot move"),
        ("scan(stage, 0, 1)", "missing a required argument: 'points'"),
        ("scan('laser', 0, 1, 5, detectors=[stage])", "was not granted the instrument 'laser'"),
        ("scan(stage, 0, 1, 5, detectors=stage)", "detectors must be a list"),
        ("scan(stage, 0, 1, 5, delay=-1)", "delay must be 0 s or more"),
        ("scan(stage, 0, 1, 5, delay=float('nan'))", "delay must be 0 s or more"),
        ("scan(stage, 0, 1, 5, delay=float('inf'))", "delay must be 0 s or more"),
        ("fly_scan(stage, 0, 1, period=float('inf'))", "period must be 0.001 s or more"),
        ("fly_scan(stage, 0, 1, velocity=float('inf'))", "velocity must be a finite number"),
    ],
)
def test_a_wrong_scan_is_refused_before_anything_moves(daemon, call, words):
    status = daemon.run(f"x = stage\n{call}\n")
    assert status["state"] == "failed"
    assert words in status["error"]["message"]
    assert status["current_line"] == 2
    moved = [s for s in daemon.control().call("streams.list") if s["name"].startswith("stage")]
    assert all(s["statistics"]["rows"] == 0 for s in moved)


def test_a_stop_ends_a_scan_between_points_and_its_motion(start_daemon):
    daemon = start_daemon(recorder=False, mode="realistic")
    control, run_id = start(daemon, "scan(stage, 0, 50, 1000, detectors=[power_meter])\n")
    until(lambda: control.call("runs.status", {"run_id": run_id})["progress_percent"])
    control.call("runs.stop", {"run_id": run_id})
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
    assert status["state"] == "stopped", status["error"]
    assert 0 < status["progress_percent"] < 100


def test_a_client_that_stops_the_stage_ends_the_scan(start_daemon):
    daemon = start_daemon(recorder=False, mode="realistic")
    control, run_id = start(daemon, "scan(stage, 0, 50, 1000, detectors=[power_meter])\n")
    until(lambda: control.call("runs.status", {"run_id": run_id})["progress_percent"])
    control.call("instruments.call", {"instrument": "stage", "verb": "stop"})
    status = control.call("runs.wait", {"run_id": run_id, "timeout": 30}, timeout=40)
    assert status["state"] == "failed"
    assert "stopped" in status["error"]["message"]


def test_others_are_answered_while_a_scan_goes_on(daemon):
    control, run_id = start(daemon, "scan(stage, 0, 50, 30000, detectors=[power_meter])\n")
    until(lambda: control.call("runs.status", {"run_id": run_id})["progress_percent"])
    request = {"instrument": "power_meter", "verb": "read"}
    values = [control.call("instruments.call", request)["value"] for _ in range(50)]
    status = control.call("runs.status", {"run_id": run_id})
    assert all(value is not None for value in values)
    assert status["state"] in ("running", "completed")
    control.call("runs.stop", {"run_id": run_id})


def test_two_scans_in_a_script_share_its_progress(start_daemon):
    daemon = start_daemon(recorder=False, mode="realistic")
    source = "scan(stage, 0, 1, 20)\nsleep(60)\nscan(stage, 0, 1, 20)\n"
    control, run_id = start(daemon, source)
    until(lambda: control.call("runs.status", {"run_id": run_id})["current_line"] == 2)
    assert control.call("runs.status", {"run_id": run_id})["progress_percent"] == 50
    control.call("runs.stop", {"run_id": run_id})


def test_a_script_may_call_something_of_its_own_count_or_scan(daemon):
    status = daemon.run("count = 0\nfor i in range(3):\n    count += 1\nprint(count)\n")
    assert status["output"] == "3\n"


ENTRY = """\
def main(axis: Movable, power_meter: Readable, points: int = 4):
    r = scan(axis, 0, 3, points, detectors=[power_meter])
    print(r["stage_y_position"], axis)
"""


def test_a_typed_entry_point_is_bound_and_called(daemon):
    status = daemon.run(ENTRY, parameters={"axis": "stage_y"})
    assert status["state"] == "completed", status["error"]
    assert status["output"] == "[0.0, 1.0, 2.0, 3.0] <instrument stage_y>\n"
    assert status["instruments"] == ["power_meter", "stage_y"]
    assert status["parameters"] == {"axis": "stage_y", "points": 4}
    assert status["progress_percent"] == 100


def test_a_binding_that_does_not_fit_starts_nothing(daemon):
    with pytest.raises(MissingCapabilityError, match="line 1"):
        start(daemon, ENTRY, parameters={"axis": "power_meter"})
    with pytest.raises(ScriptRejectedError, match="no instrument 'axis'"):
        start(daemon, ENTRY)
    assert daemon.control().call("runs.list", {}) == []
