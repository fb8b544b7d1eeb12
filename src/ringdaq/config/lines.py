"""Where each key of a TOML text stands, so that an error can name its line.

`tomllib` forgets lines, so the text (which it has accepted) is walked once more.
"""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")


class _Walker:
    """One pass over a valid TOML text, noting the line of every key and array element."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.tables: dict[Path, int] = {}

    def walk(self) -> dict[Path, int]:
        table: Path = ()
        self._blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._blank()
        return self.lines

    def _blank(self) -> None:
        match = _BLANK.match(self.text, self.at)
        assert match is not None
        self.at = match.end()

    def _line(self) -> int:
        return self.text.count("\n", 0, self.at) + 1

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise ValueError(f"no TOML at offset {self.at}")
        self.at = match.end()
        return match.group()

    def _key(self) -> Path:
        parts: list[str] = []
        while True:
            self._blank()
            quoted = self.text[self.at] in "\"'"
            part = self._take(_STRING if quoted else _BARE_KEY)
            parts.append(part[1:-1] if quoted else part)
            self._blank()
            if self.text[self.at] != ".":
                return tuple(parts)
            self.at += 1

    def _header(self) -> Path:
        line = self._line()
        array = self.text.startswith("[[", self.at)
        self.at += 2 if array else 1
        path = self._in_newest(self._key())
        self.at += 2 if array else 1
        if array:
            index = self.tables.get(path, -1) + 1
            self.tables[path] = index
            path = (*path, index)
        self._note(path, line)
        return path

    def _in_newest(self, key: Path) -> Path:
        """Put the newest index behind each array of tables on the way, the last part excepted."""
        path: Path = ()
        for part in key[:-1]:
            path = (*path, part)
            if path in self.tables:
                path = (*path, self.tables[path])
        return (*path, key[-1])

    def _assignment(self, table: Path) -> None:
        line = self._line()
        path = (*table, *self._key())
        self._note(path, line)
        self.at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        self._blank()
        start = self.text[self.at]
        if start == "[":
            self._items(path, "]")
        elif start == "{":
            self._items(path, "}")
        else:
            self._take(_STRING if start in "\"'" else _SCALAR)

    def _items(self, path: Path, closing: str) -> None:
        self.at += 1
        index = 0
        self._blank()
        while self.text[self.at] != closing:
            if closing == "]":
                self._note((*path, index), self._line())
                self._value((*path, index))
            else:
                self._assignment(path)
            index += 1
            self._blank()
            if self.text[self.at] == ",":
                self.at += 1
                self._blank()
        self.at += 1


def key_lines(text: str) -> dict[Path, int]:
    """The line, from 1, of every key, table and array element of a valid TOML text."""
    return _Walker(text).walk()


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of a key, or of the nearest thing that holds it where the key itself is missing."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1
