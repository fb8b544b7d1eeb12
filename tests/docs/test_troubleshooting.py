"""Every message that the troubleshooting page names is one that the program says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from pages import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
HEADINGS = re.findall(r"^### (.+)$", PAGE.read_text(), re.MULTILINE)


def texts_of(path: Path) -> list[str]:
    """All texts in a Python file, with `…` where a value is put in."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else "…" for v in node.values]
            found.append("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found


@pytest.fixture(scope="module")
def said() -> str:
    python = [t for p in (ROOT / "src/ringdaq").rglob("*.py") for t in texts_of(p)]
    rust = [re.sub(r"\{[^}]*\}", "…", p.read_text()) for p in (ROOT / "core/src").rglob("*.rs")]
    return "\n".join([*python, *rust])


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_message_exists(heading: str, said: str) -> None:
    assert heading in said
