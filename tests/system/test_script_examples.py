"""Every example, and every script in the pages about scripts, runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ringdaq.errors import LimitError
from ringdaq.model import RunState
from ringdaq.scripts import (
    DEFAULT_MODULES,
    Limits,
    Offer,
    PlanControl,
    ScriptProcess,
    bind,
    check_script,
    language_of,
)

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "scripts").glob("*.*"))
PAGES = [
    ROOT / "docs/reference/scripts.md",
    ROOT / "docs/reference/scripts-rhai.md",
    ROOT / "docs/how-to/write-a-script.md",
]
LISTING = re.compile(
    r"^```(?:python|rhai) (\S+\.(?:py|rhai))\n(.*?)^```$(?:\s*^```output\n(.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
LISTINGS = [match.groups() for page in PAGES for match in LISTING.finditer(page.read_text())]
VERBS = {
    "stage": ["move_abs", "position"],
    "camera": ["arm", "trigger"],
    "power_meter": ["read"],
}


CAPABILITIES = {"stage": ["Movable"], "camera": ["Triggerable"], "power_meter": ["Readable"]}


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
        if not 0.0 <= position <= 50.0:
            raise LimitError(f"no room for {position}", instrument="stage")
        self.position = position
        return position

    def stage_position(self) -> float:
        return self.position

    def camera_arm(self) -> None:
        self.armed = True

    def camera_trigger(self) -> int:
        assert self.armed
        self.frames += 1
        return self.frames

    def power_meter_read(self) -> float:
        return 1.0 / (1.0 + (self.position - 4.0) ** 2)

    def plan(
        self, name: str, args: list[Any], kwargs: dict[str, Any], control: PlanControl
    ) -> dict[str, list[float]]:
        assert name == "scan"
        (_, start, stop, points), meters = args, kwargs["detectors"]
        found: dict[str, list[float]] = {"stage_position": [], **{m: [] for m in meters}}
        for i in range(points):
            control.checkpoint(i / points, list)
            at = self.stage_move_abs(start + i * (stop - start) / (points - 1))
            found["stage_position"].append(at)
            for meter in meters:
                found[meter].append(self.call(meter, "read", [], {}))
        return found

    def emit(self, values: dict[str, Any]) -> None:
        self.rows.append(values)

    def output(self, text: str, level: str, line: int) -> None:
        self.text += text

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


def run(source: str, name: str) -> Bench:
    """The bench after a script has come to its end on it."""
    language = language_of(name)
    check_script(source, instruments=VERBS, modules=DEFAULT_MODULES, language=language)
    bench = Bench()
    offers = {
        name: Offer(able, "mm", {"position": (-100.0, 100.0)})
        for name, able in CAPABILITIES.items()
    }
    entry = bind(source, {}, offers, None, language)
    process = ScriptProcess(
        source,
        name=name,
        parameters={} if entry is None else entry.defaults,
        instruments=VERBS,
        limits=Limits(),
        modules=DEFAULT_MODULES,
        host=bench,
        entry=None if entry is None else entry.to_dict(),
        language=language,
    )
    process.start()
    outcome = process.wait(60.0)
    assert outcome is not None
    assert outcome.error is None
    assert outcome.state == RunState.COMPLETED
    assert process.progress_percent == 100.0
    return bench


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_examples_do_what_they_say(path: Path) -> None:
    bench = run(path.read_text(), path.name)
    match path.stem:
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


@pytest.mark.parametrize(("name", "source", "output"), LISTINGS, ids=lambda v: str(v)[:20])
def test_scripts_in_the_pages_print_what_the_pages_say(
    name: str, source: str, output: str | None
) -> None:
    assert run(source, name).text == (output or "")


def test_the_pages_have_scripts() -> None:
    assert len(LISTINGS) >= 6
