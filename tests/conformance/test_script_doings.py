"""What scripts do, told once and run in every language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from script_stand import Runner, both

from ringdaq.model import RunState


@dataclass
class Done:
    """What is to be seen of a script that came to its end."""

    python: str
    rhai: str
    calls: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    text: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


FOUR_AXES = "stage, 0, 1, 2, camera, 0, 1, 3, lamp, 0, 1, 4, stage, 0, 1, 5"
DONE = {
    "a scan": Done(
        "for i in range(3):\n    stage.move_abs(i * 0.5)\n    camera.trigger()\n    sleep(0.05)",
        "for i in 0..3 {\n    stage.move_abs(i * 0.5);\n    camera.trigger();\n    sleep(0.05);\n}",
        calls=[
            "stage.move_abs(0.0)", "camera.trigger()", "stage.move_abs(0.5)", "camera.trigger()",
            "stage.move_abs(1.0)", "camera.trigger()",
        ],
    ),
    "whole numbers for broken ones": Done(
        "stage.move_abs(3)\nsleep(1)", "stage.move_abs(3);\nsleep(1);", calls=["stage.move_abs(3)"]
    ),
    "arguments by name": Done(
        "camera.arm(mode='fast', n=2)",
        'camera.arm(#{mode: "fast", n: 2});',
        calls=["camera.arm(mode='fast', n=2)"],
    ),
    "answers come back": Done(
        "print(f'at {stage.position()}')",
        "print(`at ${stage.position()}`);",
        calls=["stage.position()"],
        text="at 1.5\n",
    ),
    "rows": Done(
        "emit(a=1, b=2.5, c='é', d=True)",
        'emit(#{a: 1, b: 2.5, c: "é", d: true});',
        rows=[{"a": 1, "b": 2.5, "c": "é", "d": True}],
    ),
    "parameters": Done(
        "print(parameters['n'] + 1, parameters['x']['y'], parameters.get('z', 4))",
        "print(parameters.n + 1, parameters.x.y, parameters.z ?? 4);",
        text="3 0.5 4\n",
        parameters={"n": 2, "x": {"y": 0.5}},
    ),
    "functions see instruments": Done(
        "def walk(x):\n    stage.move_abs(x)\nwalk(2)",
        "fn walk(x) {\n    stage.move_abs(x);\n}\nwalk(2);",
        calls=["stage.move_abs(2)"],
    ),
    "closures": Done(
        "twice = lambda x: x * 2\nprint(list(map(twice, [1, 2])))",
        "let twice = |x| x * 2;\nprint([1, 2].map(|x| twice.call(x)));",
        text="[2, 4]\n",
    ),
    "errors are caught by kind": Done(
        "try:\n    stage.move_abs(99)\nexcept InstrumentError as e:\n"
        "    print(type(e).__name__ == 'x', e.instrument, e)",
        "try {\n    stage.move_abs(99);\n} catch (e) {\n"
        '    if !e.is_a("InstrumentError") { throw e; }\n'
        '    print(e.kind == "x", e.instrument, e);\n}',
        calls=["stage.move_abs(99)"],
        text="{false} stage the stage goes to 50 mm; found 99\n",
    ),
    "a scan in the daemon": Done(
        "print(len(scan(stage, 0, 10, 5, detectors=[camera])))",
        "print(scan(stage, 0, 10, 5, #{detectors: [camera]}).len());",
        calls=["scan(stage, 0, 10, 5, detectors=['camera'])"],
        text="1\n",
    ),
    "a grid with options": Done(
        "grid_scan(stage, 0, 1, 3, camera, 0, 2, 5, detectors=[lamp], snake=False)",
        "grid_scan(stage, 0, 1, 3, camera, 0, 2, 5, #{detectors: [lamp], snake: false});",
        calls=["grid_scan(stage, 0, 1, 3, camera, 0, 2, 5, detectors=['lamp'], snake=False)"],
    ),
    "a grid of four axes with options": Done(
        f"grid_scan({FOUR_AXES}, detectors=[lamp])",
        f"grid_scan({FOUR_AXES}, #{{detectors: [lamp]}});",
        calls=[f"grid_scan({FOUR_AXES}, detectors=['lamp'])"],
    ),
    "points that the script chooses": Done(
        "print(adaptive(stage, 1.0, lambda rows: 2.0 if len(rows) < 2 else None)['stage'])",
        "print(adaptive(stage, 1.0, |rows| if rows.len() < 2 { 2.0 } else { () }).stage);",
        calls=["point(stage, 1.0, [])", "point(stage, 2.0, [])"],
        text="[1.0, 2.0]\n",
    ),
    "a shutter is closed": Done(
        "with shutter_open(lamp):\n    camera.trigger()",
        "with_shutter_open(lamp, || {\n    camera.trigger();\n});",
        calls=["lamp.open_shutter()", "camera.trigger()", "lamp.close_shutter()"],
    ),
    "a verb starts the budget anew": Done(
        "for _ in range(50):\n    for _ in range(300): pass\n    stage.position()",
        "for i in 0..50 {\n    for j in 0..300 { 1; }\n    stage.position();\n}",
        calls=["stage.position()"] * 50,
    ),
}  # fmt: skip


@pytest.mark.parametrize("scenario", DONE)
def test_what_a_script_does(runner: Runner, scenario: str) -> None:
    case = DONE[scenario]
    runner.bench.answers["position"] = lambda: 1.5
    outcome = runner.run(both(case.python, case.rhai), parameters=case.parameters)
    false = "False" if runner.language == "python" else "false"
    assert outcome.error is None
    assert outcome.state == RunState.COMPLETED
    assert runner.bench.calls == case.calls
    assert runner.bench.rows == case.rows
    assert runner.bench.text == case.text.replace("{false}", false)
