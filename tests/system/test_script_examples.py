"""Every Python example runs as it stands, in the script host's own processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ringdaq.model import RunState
from ringdaq.scripts import DEFAULT_MODULES, Limits, ScriptProcess, check_script

EXAMPLES = sorted((Path(__file__).parents[2] / "examples" / "scripts").glob("*.py"))
VERBS = {
    "stage": ["move_abs", "position", "wait_settled"],
    "camera": ["arm", "trigger"],
    "power_meter": ["read"],
}


class Bench:
    """A stage, a camera and a power meter whose reading peaks at 4 mm; no time passes."""

    def __init__(self) -> None:
        self.position = 0.0
        self.armed = False
        self.frames = 0
        self.rows: list[dict[str, Any]] = []
        self.slept = 0.0
        self.text = ""

    def call(self, instrument: str, verb: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        return getattr(self, f"{instrument}_{verb}")(*args, **kwargs)

    def stage_move_abs(self, position: float) -> float:
        self.position = position
        return position

    def stage_position(self) -> float:
        return self.position

    def stage_wait_settled(self, timeout: float) -> None:
        assert timeout > 0

    def camera_arm(self) -> None:
        self.armed = True

    def camera_trigger(self) -> int:
        assert self.armed
        self.frames += 1
        return self.frames

    def power_meter_read(self) -> float:
        return 1.0 / (1.0 + (self.position - 4.0) ** 2)

    def emit(self, values: dict[str, Any]) -> None:
        self.rows.append(values)

    def output(self, text: str) -> None:
        self.text += text

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.fixture(params=EXAMPLES, ids=lambda p: p.stem)
def example(request: pytest.FixtureRequest) -> tuple[str, Bench]:
    """An example's name, and the bench after it ran."""
    source = request.param.read_text()
    check_script(source, instruments=VERBS, modules=DEFAULT_MODULES)
    bench = Bench()
    process = ScriptProcess(
        source,
        name=request.param.name,
        parameters={},
        instruments=VERBS,
        limits=Limits(),
        modules=DEFAULT_MODULES,
        host=bench,
    )
    process.start()
    outcome = process.wait(60.0)
    assert outcome is not None
    assert outcome.error is None
    assert outcome.state == RunState.COMPLETED
    assert process.progress_percent == 100.0
    return request.param.stem, bench


def test_examples_do_what_they_say(example: tuple[str, Bench]) -> None:
    name, bench = example
    match name:
        case "simple_scan":
            assert bench.frames == 100
            assert bench.position == pytest.approx(9.9)
            assert bench.slept == pytest.approx(5.0)
        case "triggered_acquisition":
            assert [row["frame"] for row in bench.rows] == list(range(1, 21))
            assert bench.text.splitlines()[-1] == "took 20 frames"
        case "multi_instrument":
            assert len(bench.rows) == 22
            assert bench.rows[-1]["best_position"] == 4.0
            assert bench.position == 4.0
