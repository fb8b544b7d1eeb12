"""Reads Markdown pages: their fenced blocks, and what each is for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block; one that opens with "python scan.py" has that language and that file."""

    language: str
    file: str
    text: str
    line: int


def pages() -> list[Path]:
    """All pages of the project."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])


def blocks(page: Path) -> list[Block]:
    """A page's fenced blocks in order."""
    text = page.read_text()
    found = []
    for match in FENCE.finditer(text):
        language, _, file = match[1].strip().partition(" ")
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(language, file.strip(), match[2], line))
    return found


def name(page: Path) -> str:
    """A page's path below the project."""
    return str(page.relative_to(ROOT))
