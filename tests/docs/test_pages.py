"""What the pages say is so: code runs, printed output is what comes out, links lead on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from pages import ROOT, Block, blocks, name, pages

from ringdaq.cli.exit_codes import MEANINGS
from ringdaq.cli.reference import PAGES
from ringdaq.cli.root import root

HOW_TO = [
    ROOT / f"docs/how-to/{page}.md"
    for page in ("try-a-script-out", "build-a-pipeline", "write-a-stage")
]
EXECUTED = [ROOT / "README.md", *HOW_TO, *sorted((ROOT / "docs/tutorials").glob("*.md"))]
WITH_PYTHON = [p for p in pages() if any(b.language == "python" and not b.file for b in blocks(p))]
RINGDAQ = [sys.executable, "-P", "-m", "ringdaq.cli"]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
MARK = "-- end of a block --"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like the one a reader has, with the examples in it."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


# --- help texts


@pytest.mark.parametrize("page", PAGES)
def test_the_reference_is_what_the_commands_say(page: str) -> None:
    written = (ROOT / "docs/reference" / page).read_text()
    assert written == PAGES[page](), "run: python -m ringdaq.cli.reference docs/reference"


# --- links


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(page.read_text())
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    found, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in found or page.suffix != ".md":
            continue
        found.add(page)
        todo += [(page.parent / t).resolve() for t in LINK.findall(page.read_text())]
    decisions = ROOT / "docs/explanations/decisions"
    wanted = {p for p in (ROOT / "docs").rglob("*.md") if p.parent != decisions}
    assert sorted(map(name, wanted - found)) == []


# --- console blocks: their commands exist


def commands_of(page: Path) -> list[str]:
    lines = [
        line
        for block in blocks(page)
        if block.language in ("console", "sh")
        for line in block.text.splitlines()
    ]
    return [line.removeprefix("$ ") for line in lines if line.startswith(("$ ringdaq", "ringdaq "))]


@pytest.mark.parametrize(
    ("page", "command"), [(p, c) for p in pages() for c in commands_of(p)], ids=str
)
def test_commands_in_the_text_exist(page: Path, command: str) -> None:
    words = shlex.split(command, comments=True)[1:]
    found: click.Command = root
    if words[0] == "--state":
        words = words[2:]
    options = {o for p in root.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in words:
        if isinstance(found, click.Group) and not word.startswith("-"):
            below = found.get_command(click.Context(found), word)
            assert below is not None, f"{name(page)}: no command {word!r} in {command!r}"
            found = below
            options |= {o for p in found.params for o in (*p.opts, *p.secondary_opts)}
    given = [w.partition("=")[0] for w in words if re.match(r"--?[A-Za-z]", w)]
    assert [o for o in given if o not in options] == [], f"{name(page)}: {command}"


@pytest.mark.parametrize("page", pages(), ids=name)
def test_make_targets_in_the_text_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)) <= targets


# --- Python blocks: one program a page


def program(page: Path) -> tuple[str, list[Block | None]]:
    """A page's Python as one program, and the output block that follows each of its blocks."""
    found = blocks(page)
    parts, expected = [], []
    for index, block in enumerate(found):
        if block.language != "python" or block.file:
            continue
        after = found[index + 1] if index + 1 < len(found) else None
        expected.append(after if after is not None and after.language == "output" else None)
        # Line numbers of a failure are those of the page.
        parts.append(
            f"exec(compile({block.text!r}, {name(page) + ':' + str(block.line)!r}, 'exec'))"
        )
        parts.append(f"print({MARK!r}, flush=True)")
    return "\n".join(parts), expected


def run_python(page: Path, folder: Path, state: Path) -> None:
    source, expected = program(page)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        cwd=folder,
        env={**os.environ, "RINGDAQ_STATE": str(state)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outputs = done.stdout.split(MARK + "\n")[:-1]
    for output, block in zip(outputs, expected, strict=True):
        if block is not None:
            assert output == block.text, f"{name(page)}, line {block.line}"


@pytest.mark.parametrize(
    "page", [p for p in WITH_PYTHON if p not in EXECUTED or p.name == "README.md"], ids=name
)
@pytest.mark.slow
def test_python_in_the_text_runs(page: Path, folder: Path, demo_daemon: Path) -> None:
    run_python(page, folder, demo_daemon)


# --- tutorials: files, commands and their output


def plain(text: str) -> list[str]:
    """Output without what differs from run to run: ids, widths, and counts of rows."""
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"^(\S+) +\d+ +(\d+)$", r"\1 ROWS \2", text, flags=re.MULTILINE)
    return [re.sub(r" +", " ", line).strip() for line in text.splitlines()]


def write_files(page: Path, folder: Path) -> None:
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.text)


def transcripts(page: Path) -> list[tuple[str, str]]:
    """Commands of the page's console blocks, each with the output that is printed below it."""
    found = []
    for block in blocks(page):
        if block.language == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append((command, output))
    return found


def check_transcript(command: str, output: str, folder: Path) -> None:
    words = shlex.split(command)
    assert words[0] == "ringdaq", command
    done = subprocess.run(
        [*RINGDAQ, *words[1:]],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "RINGDAQ_STATE": str(folder / "state")},
    )
    assert done.returncode in MEANINGS
    shown = [line for line in done.stdout.splitlines() if not re.match(r" *\d+ %  ", line)]
    assert plain("\n".join(shown).replace(f"{folder}/", "")) == plain(output), done.stdout


@pytest.mark.parametrize("page", EXECUTED, ids=name)
@pytest.mark.slow
def test_what_a_tutorial_shows_is_what_comes_out(
    page: Path, folder: Path, request: pytest.FixtureRequest
) -> None:
    write_files(page, folder)
    for command, output in transcripts(page):
        check_transcript(command, output, folder)
    if page in WITH_PYTHON and page.name != "README.md":
        run_python(page, folder, request.getfixturevalue("demo_daemon"))
