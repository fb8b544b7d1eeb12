"""Where compiled stages are kept, so that a pipeline that starts again need not wait for Numba."""

from __future__ import annotations

import hashlib
import inspect
import marshal
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

KEPT = 64
"""Stages that are kept; the oldest go."""
_STABLE = ("math", "cmath", "numpy", "numba")
"""Modules whose functions mean the same as long as Numba and its own records say so."""


def cache_directory() -> Path:
    """The user's own, below the cache directory of the system."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ringdaq" / "native"


def cached_file(function: Callable[..., Any], text: str) -> Path | None:
    """The file of a wrapper whose name tells all that its compiled form depends on.

    None where that cannot be known (the function calls on something other than numbers, functions,
    `math` and `numpy`), or where nothing can be written; then nothing is kept.
    """
    digest = hashlib.sha256(text.encode())
    try:
        for part in _meaning(function, set()):
            digest.update(part)
        return _write(f"{function.__name__}_{digest.hexdigest()[:24]}.py", text)
    except (_UnknownError, OSError, ValueError):
        return None


class _UnknownError(Exception):
    """What a function depends on cannot be told."""


def _meaning(function: Any, seen: set[int]) -> Iterator[bytes]:
    """Bytes that differ if the function, or anything that it uses, differs."""
    if id(function) in seen:
        return
    seen.add(id(function))
    if not isinstance(function, FunctionType):
        raise _UnknownError
    # Numba looks for the module by its name when it takes the function from its cache.
    yield function.__module__.encode()
    yield marshal.dumps(function.__code__)
    defaults = function.__defaults__ or (), sorted((function.__kwdefaults__ or {}).items())
    yield from _meaning_of((defaults[0], *defaults[1]), seen)
    for name, value in sorted(_used(function).items()):
        yield name.encode()
        yield from _meaning_of(value, seen)


def _used(function: FunctionType) -> dict[str, Any]:
    """What it, and the functions within it, take from around it."""
    names = {name for code in _codes(function.__code__) for name in code.co_names}
    there = function.__globals__
    used = {name: there[name] for name in names & there.keys()}
    return used | dict(inspect.getclosurevars(function).nonlocals)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of all functions and comprehensions within it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _meaning_of(value: Any, seen: set[int]) -> Iterator[bytes]:
    if isinstance(value, tuple):
        for part in value:
            yield from _meaning_of(part, seen)
        yield f"tuple of {len(value)}".encode()
    elif value is None or isinstance(value, bool | int | float | complex | str):
        yield f"{type(value).__name__} {value!r}".encode()
    elif isinstance(value, ModuleType):
        yield _stable(value.__name__, value.__name__)
    elif hasattr(value, "py_func"):
        yield repr(getattr(value, "targetoptions", None)).encode()
        yield from _meaning(value.py_func, seen)
    elif isinstance(value, FunctionType):
        yield from _meaning(value, seen)
    else:
        name = getattr(value, "__name__", "")
        yield _stable(getattr(value, "__module__", None) or type(value).__module__, name)


def _stable(module: str, name: str) -> bytes:
    if not name or module.partition(".")[0] not in _STABLE:
        raise _UnknownError
    return f"{module}:{name}".encode()


def _write(name: str, text: str) -> Path:
    """Write the file where it is not there yet; one that is there stays as it is."""
    directory = cache_directory()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / name
    if not file.exists():
        _make_room(directory)
        temporary = directory / f".{name}.{os.getpid()}"
        temporary.write_text(text)
        temporary.replace(file)
    return file


def _make_room(directory: Path) -> None:
    files = sorted(directory.glob("*.py"), key=lambda file: file.stat().st_mtime, reverse=True)
    for old in files[KEPT - 1 :]:
        for made in (directory / "__pycache__").glob(f"{old.stem}.*"):
            made.unlink(missing_ok=True)
        old.unlink(missing_ok=True)
