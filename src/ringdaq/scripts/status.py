"""What the parent knows of a running script."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Mapping
from typing import Any

from ringdaq.scripts.language import LEVELS, source_lines
from ringdaq.scripts.page import GO_ON, LINE, PROGRESS, STOP, Page
from ringdaq.scripts.requests import ProtocolError
from ringdaq.visible import visible

TAIL_CHARACTERS = 1 << 16


class Status:
    """Line, progress and output; read by any thread, while the script runs and after."""

    def __init__(self, source: str, output_bytes: int) -> None:
        self.output = ""
        self._page: Page | None = None
        self._asked = GO_ON
        self._line = 0
        self._lock = threading.Lock()
        self._lines = source_lines(source)
        self._percent: float | None = None
        self._output_left = output_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def line(self) -> int:
        """The current line, 0 before the first."""
        with self._lock:
            if self._page is not None:
                self._look_at_line(self._page)
            return self._line

    @property
    def last_line(self) -> int:
        """The number of the script's last line."""
        return len(self._lines)

    @property
    def source_line(self) -> str:
        """The text of the current line, its control characters made visible."""
        line = self.line
        return visible(self._lines[line - 1].strip()) if line else ""

    @property
    def progress_percent(self) -> float | None:
        """0 to 100, never falling; `None` while nobody can know."""
        with self._lock:
            self._look()
            return self._percent

    def _look(self) -> None:
        if self._page is None:
            return
        self._look_at_line(self._page)
        fraction = self._page.fraction
        if fraction is not None:
            self._percent = max(100.0 * fraction, self._percent or 0.0)

    def _look_at_line(self, page: Page) -> None:
        line = page.words[LINE]
        self._line = line if line <= len(self._lines) else 0

    def raise_progress(self, fraction: float) -> None:
        """Say from this side how far the script is, while it waits for an answer."""
        with self._lock:
            if self._page is not None and fraction > self._page.fractions[PROGRESS]:
                self._page.fractions[PROGRESS] = min(fraction, 1.0)

    def join(self, page: Page) -> None:
        """Read line and progress from `page` from now on."""
        with self._lock:
            self._page = page
            page.words[STOP] = self._asked

    def ask_to_end(self, reason: int) -> None:
        """Tell the script's process to end; `reason` is one of `page`'s."""
        with self._lock:
            self._asked = reason
            if self._page is not None:
                self._page.words[STOP] = reason

    def part(self) -> None:
        """Keep the last values, and give the page back."""
        with self._lock:
            self._look()
            if self._page is not None:
                self._page.close()
            self._page = None

    def print(self, message: Mapping[str, Any]) -> tuple[str, str, int]:
        """Keep the end of the output; returns text, level and line.

        Control characters in the text are made visible.
        """
        data, level, line = (message.get(key) for key in ("data", "level", "line"))
        if not isinstance(data, bytes) or len(data) > self._output_left:
            raise ProtocolError("output must be bytes within the run's limit")
        if level not in LEVELS or type(line) is not int:
            raise ProtocolError("output must have a level and a line")
        self._output_left -= len(data)
        text = visible(self._decoder.decode(data))
        self._keep(text)
        return text, level, line if 0 <= line <= len(self._lines) else 0

    def note(self, text: str) -> tuple[str, str, int]:
        """Add a warning of the daemon's own; returns text, level and line."""
        text, line = f"warning: {text} (line {self.line})\n", self.line
        self._keep(text if self.output.endswith("\n") or not self.output else "\n" + text)
        return text, "warning", line

    def _keep(self, text: str) -> None:
        self.output = (self.output + text)[-TAIL_CHARACTERS:]
