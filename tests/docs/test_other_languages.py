"""The recipes for other languages: what can be run here is, the others name the right places."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT, blocks

PAGE = ROOT / "docs/how-to/read-the-ring-from-another-language.md"
LAYOUT = ROOT / "docs/reference/ring-layout.md"
FILES = {block.file: block for block in blocks(PAGE) if block.file}
RECIPES = {block.language: block.text for block in blocks(PAGE)}


@pytest.mark.slow
def test_the_c_plus_plus_of_the_page_reads_what_python_mapped(
    tmp_path: Path, demo_daemon: Path
) -> None:
    for name in ("ring.cpp", "use_it.py"):
        (tmp_path / name).write_text(FILES[name].text)
    command = [b.text for b in blocks(PAGE) if b.language == "sh" and "c++" in b.text]
    subprocess.run(command[0].split(), cwd=tmp_path, check=True, timeout=100)
    done = subprocess.run(
        [sys.executable, "-W", "error", "use_it.py"],
        cwd=tmp_path,
        env={**os.environ, "RINGDAQ_STATE": str(demo_daemon)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ bytes at 0x[0-9a-f]+\n", done.stdout)


def offsets() -> set[int]:
    """All offsets that the layout's tables name."""
    return {int(n) for n in re.findall(r"^\| (\d+) \|", LAYOUT.read_text(), re.MULTILINE)}


@pytest.mark.parametrize(
    ("language", "header", "entry", "frame"),
    [
        (
            "julia",
            r"(?:load\(\w+, |acquire\()(\d+)\)",
            r"entry \+ (\d+)",
            r"load\(\w+, at(?: \+ (\d+))?\)",
        ),
        (
            "matlab",
            r"(?:word|int)\((\d+)\)",
            r"word\(entry \+ (\d+)\)",
            r"(?:word|int)\(at \+ (\d+)\)",
        ),
    ],
)
def test_recipes_use_the_places_of_the_layout(
    language: str, header: str, entry: str, frame: str
) -> None:
    text, known = RECIPES[language], offsets()
    for pattern in (header, entry, frame):
        found = {int(n) for n in re.findall(pattern, text) if n}
        assert found, pattern
        assert found <= known
