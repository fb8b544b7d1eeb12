"""Recorder and gateway import what they need while the daemon does so itself.

Each of the three needs almost half a second of a processor before it serves. One after the other
they would serve late, above all where others keep the machine busy.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ringdaq.daemon.supervisor import Child

CHILDREN = ("recorder", "gateway")


class HeadStart:
    """The children that a rig file seems to ask for, begun before anybody has checked it.

    They wait for their arguments, and end by themselves if this process does. All are ended with
    the `with` block.
    """

    def __init__(self, rig: Path, *, gateway: bool = True) -> None:
        self._children: dict[str, Child] = {}
        for name in _asked_for(rig):
            if gateway or name != "gateway":
                self._begin(name)

    def _begin(self, name: str) -> Child:
        child = self._children[name] = Child(name, ["-m", f"ringdaq.{name}"])
        child.start(held=True)
        return child

    def keep(self, names: Sequence[str]) -> list[Child]:
        """The children that are wanted indeed, held; others are ended."""
        for name in self._children.keys() - set(names):
            self._children.pop(name).stop()
        return [self._children.get(name) or self._begin(name) for name in names]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self._children.values():
            child.stop()


def _asked_for(rig: Path) -> list[str]:
    """What a rig file says at a glance; what is wrong with it is told by whoever loads it."""
    try:
        daemon = tomllib.loads(rig.read_text()).get("daemon")
    except (OSError, ValueError):
        return []
    asked = daemon if isinstance(daemon, dict) else {}
    return [name for name in CHILDREN if asked.get(name, True) is True]
