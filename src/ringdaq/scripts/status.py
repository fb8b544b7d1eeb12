"""What the parent knows of a running script."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any

from ringdaq.errors import BadRequestError

TAIL_CHARACTERS = 1 << 16
_LINE_END = re.compile(r"\r\n|\r|\n")
_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}


def source_lines(source: str) -> list[str]:
    """The lines as Python counts them, which `str.splitlines` does not."""
    return _LINE_END.split(source)


class Status:
    """Line, progress and output, as the script's messages tell; read by any thread."""

    def __init__(self, source: str, output_bytes: int) -> None:
        self.line = 0
        self.progress_percent: float | None = None
        self.output = ""
        self._lines = source_lines(source)
        self._output_left = output_bytes
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def source_line(self) -> str:
        """The text of the current line."""
        line = self.line
        return self._lines[line - 1].strip() if 0 < line <= len(self._lines) else ""

    def note(self, message: Mapping[str, Any]) -> None:
        """Take line and progress from a message."""
        line, fraction = message.get("line"), message.get("progress")
        if type(line) is int and 0 <= line <= len(self._lines):
            self.line = line
        if type(fraction) is float and 0.0 <= fraction <= 1.0:
            self.progress_percent = max(100.0 * fraction, self.progress_percent or 0.0)

    def print(self, data: object) -> str:
        """Keep the end of the output; returns the text, with control characters made visible."""
        if not isinstance(data, bytes) or len(data) > self._output_left:
            raise BadRequestError("output must be bytes within the run's limit")
        self._output_left -= len(data)
        text = self._decoder.decode(data).translate(_CONTROLS)
        self.output = (self.output + text)[-TAIL_CHARACTERS:]
        return text
