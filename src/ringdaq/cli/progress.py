"""A run's progress on stderr: a bar on a terminal, a line per state elsewhere."""

from __future__ import annotations

import sys
from typing import Any, Protocol


class Display(Protocol):
    """Shows a run while it goes on."""

    def show(self, percent: float | None, text: str) -> None:
        """Show how far the run is; `None` = not known."""

    def close(self) -> None:
        """Leave the terminal tidy."""


class Lines:
    """One line whenever another ten percent are done."""

    def __init__(self) -> None:
        self._shown = -1

    def show(self, percent: float | None, text: str) -> None:
        tenth = int((percent or 0.0) // 10)
        if tenth > self._shown:
            self._shown = tenth
            print(f"{tenth * 10:3d} %  {text}", file=sys.stderr, flush=True)  # noqa: T201

    def close(self) -> None:
        """Nothing to tidy."""


class Bar:
    """A bar that moves; drawn by rich, which takes a moment to load."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)
        self._progress.start()

    def show(self, percent: float | None, text: str) -> None:
        total = None if percent is None else 100.0
        self._progress.update(self._task, total=total, completed=percent or 0.0, description=text)

    def close(self) -> None:
        self._progress.stop()


class Quiet:
    """Shows nothing."""

    def show(self, percent: float | None, text: str) -> None:
        """Keep quiet."""

    def close(self) -> None:
        """Nothing to tidy."""


def open_display(*, quiet: bool = False) -> Display:
    """What suits where stderr goes."""
    if quiet:
        return Quiet()
    return Bar() if sys.stderr.isatty() else Lines()


def describe(status: dict[str, Any]) -> str:
    """A run's state and the line it is at."""
    words, line, eta = [str(status["state"])], status["current_line"], status.get("eta_secs")
    if line:
        words.append(f"line {line}")
    if eta is not None:
        words.append(f"{eta:.0f} s left")
    return ", ".join(words)
