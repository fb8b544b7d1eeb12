"""Reads a TOML text that people wrote, with the line of every key."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringdaq.config.lines import Path as Location
from ringdaq.config.lines import key_lines
from ringdaq.errors import ConfigError


@dataclass(frozen=True)
class TextSource:
    """A file's text, its absolute path, and the line of every key."""

    text: str
    path: Path
    lines: Mapping[Location, int]


def read_text(path: str | Path, what: str) -> tuple[str, Path]:
    """A file's text and its absolute path; `what` is whose file it is, such as `rig`."""
    path = Path(path).expanduser().absolute()
    try:
        return path.read_bytes().decode(), path
    except OSError as error:
        raise ConfigError(f"the {what} file cannot be read ({error.strerror}): {path}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"a {what} file must be UTF-8 text ({error.reason}): {path}") from None


def read_toml(text: str, path: Path, what: str) -> tuple[dict[str, Any], Mapping[Location, int]]:
    """A text's plain values, and the line of every key."""
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the {what} file is not valid TOML: {error}: {path}") from None
    return plain, key_lines(text)
