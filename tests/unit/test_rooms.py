"""The map of the house agrees with the house, and every room's door is honest."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import ringdaq

PACKAGE = Path(ringdaq.__file__).parent
MAP = PACKAGE.parents[1] / "ARCHITECTURE.md"
GENERATED = {"v1"}
ROOMS = sorted(
    p.parent.name for p in PACKAGE.glob("*/__init__.py") if p.parent.name not in GENERATED
)
LARGEST_DOOR = 60


def first_line(room: str) -> str:
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    return (ast.get_docstring(tree) or "").splitlines()[0]


def test_the_map_has_a_line_a_room_and_says_what_the_room_says() -> None:
    rows = dict(re.findall(r"^\| `(\w+)/` \| (.+?) \|$", MAP.read_text(), re.MULTILINE))
    assert rows == {room: first_line(room) for room in ROOMS}


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_door_lists_is_there(room: str) -> None:
    module = importlib.import_module(f"ringdaq.{room}")
    names = module.__all__
    assert len(set(names)) == len(names)
    assert [n for n in names if not hasattr(module, n)] == []
    assert [n for n in names if n.startswith("_")] == []
    assert len(names) <= LARGEST_DOOR


def test_the_package_lists_what_it_has() -> None:
    assert [n for n in ringdaq.__all__ if not hasattr(ringdaq, n)] == []
