"""What goes wrong in a dry run is what would go wrong in the run, and leaves the same behind."""

import pytest

from ringdaq.config import load_rig
from ringdaq.daemon.twin import dry_run_file

FAILING_FLIGHT = """\
emit(stage_position="a text first")
before = stage.settings()["velocity"]["value"]
try:
    fly_scan(stage, 0, 40, velocity=1.5)
except Exception as error:
    print(error)
after = stage.settings()["velocity"]["value"]
stage.wait_settled()
print(after == before, stage.position() < 39)
"""
STOPPED_BEFORE = "stage.move_abs(1)\nstage.stop()\nfly_scan(stage, 0, 1, velocity=5)\n"


@pytest.fixture
def dry_run(write_rig, tmp_path):
    def run(source):
        path = tmp_path / "a.py"
        path.write_text(source)
        return dry_run_file(load_rig(write_rig(mode="realistic", recorder=False)), path, {})

    return run


def test_a_failed_flight_gives_its_velocity_back_and_ends_its_motion(dry_run, start_daemon):
    reports = (
        dry_run(FAILING_FLIGHT),
        start_daemon(mode="realistic", recorder=False).run(FAILING_FLIGHT),
    )
    for report in reports:
        assert report["state"] == "completed", report["error"]
    words = [report["output"].splitlines() for report in reports]
    assert words[0] == words[1]
    assert "must stay so" in words[0][0]
    assert words[0][-1] == "True True"


def test_a_flight_after_a_stop_is_carried_out(dry_run):
    report = dry_run(STOPPED_BEFORE)
    assert report["state"] == "completed", report["error"]


@pytest.mark.parametrize(
    ("source", "words", "line"),
    [
        ("emit(x=1.0)\nemit(x='off')\n", "x was float64 before", 2),
        ("emit(**{'größe': 1.0})\n", "letters, digits", 1),
        ("for i in range(201):\n    emit(**{f'c{i}': 1.0})\n", "200 different names", 2),
    ],
)
def test_a_row_that_the_run_could_not_emit_fails_the_dry_run(dry_run, source, words, line):
    report = dry_run(source)
    assert (report["state"], report["line"]) == ("failed", line)
    assert words in report["error"]["message"]
