"""Dry runs: what a script would take, from the twin of its rig, in virtual time."""

import time

import pytest

from ringdaq.config import load_rig, parse_rig
from ringdaq.daemon.twin import dry_run_file
from ringdaq.errors import LimitError, ScriptRejectedError
from ringdaq.scripts import LANGUAGES

REAL = """
[rig]
name = "real"

[[instrument]]
name = "x"
driver = "newport.esp300"
limits = { position = [0.0, 25.0] }
twin = { velocity = 2.0, acceleration = 1000.0, settle_secs = 0.5 }
options = { port = "/dev/nowhere", axis = 1, unit = "deg" }

[scripts]
operations = 1000
output_bytes = 1000
wall_secs = 20000
"""


@pytest.fixture(params=LANGUAGES)
def dry_run(request, tmp_path):
    """Dry-runs the source that is in the language."""

    def run(rig, python, rhai, **parameters):
        path = tmp_path / {"python": "a.py", "rhai": "a.rhai"}[request.param]
        path.write_text({"python": python, "rhai": rhai}[request.param])
        return dry_run_file(rig, path, parameters)

    return run


@pytest.fixture
def simulated(write_rig):
    return load_rig(write_rig(mode="realistic", more="[scripts]\nwall_secs = 20000"))


def test_three_hours_are_run_in_seconds(dry_run, simulated):
    began = time.monotonic()
    report = dry_run(
        simulated,
        "for i in range(3600):\n    stage.move_abs(i % 50)\n    sleep(2.5)\n    emit(n=i)",
        "for i in 0..3600 {\n stage.move_abs(i % 50);\n sleep(2.5);\n emit(#{n: i});\n}",
    )
    spent = time.monotonic() - began
    assert report["state"] == "completed"
    assert 9000 < report["duration_secs"] < 12_000
    assert (report["points"], report["verbs"]) == (3600, 3600)
    assert report["streams"]["run"] == {"rows": 3600, "bytes": 3600 * 16}
    assert report["streams"]["stage"]["rows"] == 3600
    assert spent < report["duration_secs"] / 100


def test_a_real_axis_has_a_twin_with_its_limits_its_unit_and_its_speed(dry_run):
    report = dry_run(
        parse_rig(REAL),
        "x.move_abs(20)\nprint(x.position())",
        "x.move_abs(20);\nprint(x.position());",
    )
    assert report["state"] == "completed", report["error"]
    assert report["duration_secs"] == pytest.approx(10.5, abs=0.01)
    assert report["output"].startswith("20")
    assert "x moves with 2 a second; see [instrument.twin]" in report["assumed"]


def test_what_lies_beyond_limits_is_told_with_its_line(dry_run):
    report = dry_run(
        parse_rig(REAL),
        "for target in (1, 99, 2):\n    try:\n        x.move_abs(target)\n"
        "    except LimitError:\n        pass",
        "for target in [1, 99, 2] {\n    try {\n        x.move_abs(target);\n    }\n"
        "    catch {\n    }\n}",
    )
    assert report["state"] == "completed", report["error"]
    (violation,) = report["violations"]
    assert (violation["line"], violation["instrument"]) == (3, "x")
    assert violation["message"] == (
        "x: position must lie within 0 to 25 deg; found 99; nothing moved"
    )


@pytest.mark.parametrize(
    ("python", "rhai", "limit", "line"),
    [
        ("\nwhile True: pass", "\nloop {}", "operations", 2),
        ("\nprint('#' * 2000)", "\nprint(blob(2000, 35));", "output_bytes", 2),
        ("while True:\n    sleep(60)", "loop {\n    sleep(60);\n}", "wall_secs", 2),
        ("x.move_abs(9)\nsleep(3e6)", "x.move_abs(9);\nsleep(3e6);", "wall_secs", 2),
    ],
)
def test_a_limit_of_the_script_is_told_with_its_line(dry_run, python, rhai, limit, line):
    report = dry_run(parse_rig(REAL), python, rhai)
    assert report["state"] == "failed"
    assert report["error"]["details"] == {"limit": limit, "line": line}


def test_scans_are_run_point_by_point(dry_run, simulated):
    report = dry_run(
        simulated,
        "a = scan(stage, 0, 10, 11, detectors=[power_meter, camera], delay=1)\n"
        "b = fly_scan(stage, 0, 10, detectors=[power_meter], period=0.1)\n"
        "count([power_meter], n=5, delay=2)\n"
        "adaptive(stage, 1.0, lambda rows: 2.0 if len(rows) < 3 else None)\n"
        "print(len(a['stage_position']), len(b['stage_position']))",
        "let a = scan(stage, 0, 10, 11, #{detectors: [power_meter, camera], delay: 1});\n"
        "let b = fly_scan(stage, 0, 10, #{detectors: [power_meter], period: 0.1});\n"
        "count([power_meter], #{n: 5, delay: 2});\n"
        "adaptive(stage, 1.0, |rows| if rows.len() < 3 { 2.0 } else { () });\n"
        "print(a.stage_position.len(), b.stage_position.len());",
    )
    assert report["state"] == "completed", report["error"]
    points, rows = map(int, report["output"].split())
    assert points == 11
    assert 8 <= rows <= 20
    assert report["points"] == points + rows + 5 + 3
    assert report["streams"]["camera"]["rows"] == 11
    assert report["duration_secs"] > 10 * 1 + 4 * 2


def test_a_scan_beyond_limits_is_told_before_it_begins(dry_run, simulated):
    report = dry_run(
        simulated,
        "\nscan(stage, 0, 99, 5)",
        "\nscan(stage, 0, 99, 5);",
    )
    assert report["state"] == "failed"
    assert [v["line"] for v in report["violations"]] == [2]
    assert report["points"] == 0


def test_an_entry_point_is_bound_to_the_twin(dry_run):
    sources = (
        'def main(x: Movable["deg", 0, 20], far: float = 5.0):\n    x.move_abs(far)\n',
        '/// x: Movable["deg", 0, 20]\n/// far: float = 5.0\nfn main(x, far) {\n'
        "    x.move_abs(far);\n}\n",
    )
    assert dry_run(parse_rig(REAL), *sources)["violations"] == []
    assert dry_run(parse_rig(REAL), *sources, far=26.0)["violations"][0]["line"] in (2, 4)
    with pytest.raises(LimitError, match="from 0 to 30; x may go from 0 to 25"):
        dry_run(parse_rig(REAL), *(s.replace("20", "30") for s in sources))
    with pytest.raises(ScriptRejectedError, match="in 'mm'; x counts in 'deg'"):
        dry_run(parse_rig(REAL), *(s.replace('"deg"', '"mm"') for s in sources))


def test_samples_polls_and_streamed_frames_are_counted_by_the_clock(tmp_path, write_rig):
    more = """
[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
options = { channels = 4, rate_hz = 250 }
"""
    rig = load_rig(write_rig(mode="realistic", camera="poll_hz = 0", more=more))
    path = tmp_path / "a.py"
    path.write_text("camera.start_stream()\nsleep(10)\nprint(camera.stop_stream())\n")
    report = dry_run_file(rig, path, {})
    assert report["state"] == "completed", report["error"]
    assert report["streams"]["eeg"]["rows"] == 2500
    assert report["streams"]["camera"]["rows"] == int(report["output"]) > 100


def test_a_queue_takes_only_what_its_dry_run_completes(start_daemon):
    daemon = start_daemon(recorder=False)
    control = daemon.control()
    control.call("queue.pause")

    def upload(source):
        return control.call("scripts.upload", {"content": source, "name": "a.py"})["script_id"]

    good = upload("for i in range(100):\n    sleep(60)\n    emit(x=stage.move_abs(i * 0.1))\n")
    entry = control.call("queue.add", {"script": good}, timeout=120)
    assert entry["expected"]["points"] == 100
    assert entry["expected"]["duration_secs"] == pytest.approx(6000)
    bad = upload("\nfor i in range(100):\n    stage.move_abs(i)\n")
    with pytest.raises(ScriptRejectedError, match="at line 3: stage: position must lie") as found:
        control.call("queue.add", {"script": bad}, timeout=120)
    assert found.value.line == 3
    report = control.call("scripts.dry_run", {"script": bad}, timeout=120)
    assert [v["line"] for v in report["violations"]] == [3]
    assert control.call("queue.add", {"script": bad, "dry_run": False})["expected"] is None
    assert len(control.call("queue.list")["entries"]) == 2
    assert control.call("runs.list") == []
