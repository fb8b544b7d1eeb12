"""What the page about watching shows is what `ringdaq client watch` says.

With `RINGDAQ_WRITE_PAGES=1` the page gets the text anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

from ringdaq.cli.local import find_daemon

PAGE = ROOT / "docs/how-to/watch-a-run.md"
RINGDAQ = [sys.executable, "-P", "-m", "ringdaq.cli"]
COMMANDS = """\
$ ringdaq client upload sweep.py
$ ringdaq client start sweep.py
$ ringdaq client watch RUN
"""
STEP = re.compile(r"^ *(\d+) %  running, line (\d+)(?:, (\d+) s left)?$", re.MULTILINE)


def said(folder: Path, state: Path, *words: str) -> str:
    """What a command says, on both ways out."""
    done = subprocess.run(
        [*RINGDAQ, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=True,
        env={**os.environ, "RINGDAQ_STATE": str(state)},
    )
    return done.stdout


def watched_run(folder: Path, state: Path) -> str:
    """What watching a whole run says; a busy machine would show it too late, so the run waits."""
    control = find_daemon(state).connect()
    run = control.call("runs.start", {"script": "sweep.py"})
    control.call("runs.pause", run)
    watch = subprocess.Popen(
        [*RINGDAQ, "client", "watch", run["run_id"]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RINGDAQ_STATE": str(state)},
    )
    assert watch.stdout is not None
    first = watch.stdout.readline()
    control.call("runs.resume", run)
    rest, _ = watch.communicate(timeout=100)
    control.close()
    assert watch.returncode == 0, first + rest
    return (first.replace("paused", "running") + rest).replace(run["run_id"], "RUN")


def around(text: str) -> str:
    """The text without the lines of its steps; a busy machine looks at other moments."""
    return re.sub(r"^ *\d+ % .*\n", "", text, flags=re.MULTILINE)


def steps(text: str) -> list[tuple[int, int, int]]:
    """Percent, line and seconds left of the steps that tell all three."""
    found = [match.groups() for match in STEP.finditer(text)]
    return [(int(percent), int(line), int(left)) for percent, line, left in found if left]


@pytest.mark.slow
def test_the_page_shows_what_watching_says(tmp_path: Path, demo_daemon: Path) -> None:
    script, console = (
        next(b for b in blocks(PAGE) if b.file == "sweep.py"),
        next(b for b in blocks(PAGE) if b.language == "console"),
    )
    (tmp_path / "sweep.py").write_text(script.text)
    said(tmp_path, demo_daemon, "client", "upload", "sweep.py")
    watched = watched_run(tmp_path, demo_daemon)
    if os.environ.get("RINGDAQ_WRITE_PAGES"):
        PAGE.write_text(PAGE.read_text().replace(console.text, COMMANDS + watched))
        return
    assert around(console.text) == around(COMMANDS + watched)
    for text in (console.text, watched):
        percents, lines, left = zip(*steps(text), strict=True)
        assert list(percents) == sorted(percents)
        assert set(lines) <= set(range(1, 1 + len(script.text.splitlines())))
        assert left[0] > left[-1]
