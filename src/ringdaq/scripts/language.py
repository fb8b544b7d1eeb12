"""The names a script finds: the part of Python it may use, and ringdaq's own verbs.

This is a help to the author, who learns of a mistake before anything moves.
It is no wall: that is the process, see `confine.py`.
"""

from __future__ import annotations

import builtins

from ringdaq import errors

MAX_SOURCE_BYTES = 1 << 20


def source_lines(source: str) -> list[str]:
    """The lines as Python counts them, which `str.splitlines` does not."""
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


DEFAULT_MODULES = (
    "cmath",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "functools",
    "itertools",
    "json",
    "math",
    "random",
    "statistics",
)

VERBS = ("emit", "log", "parameters", "print", "progress", "shutter_open", "sleep")
"""What every script has beside its instruments."""

LEVELS = ("debug", "info", "warning", "error")
"""What `log` may say of its text; `print` is "info"."""

PLANS = ("adaptive", "count", "fly_scan", "grid_scan", "list_scan", "scan")
"""Loops that the daemon carries out."""

CAPABILITIES = (
    "Configurable", "EmissionControl", "ExposureControl", "FrameProducer", "Movable", "Readable",
    "Safe", "SampleProducer", "ShutterControl", "Stageable", "Triggerable", "WavelengthTunable",
)  # fmt: skip
"""What `main` may say of its parameters; as in `instruments.capabilities`, which is not light."""

RESERVED_COLUMN = "time"
"""`emit` writes this column itself."""

_PLAIN_BUILTINS = (
    "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr",
    "classmethod", "complex", "dict", "divmod", "enumerate", "filter", "float", "format",
    "frozenset", "getattr", "hasattr", "hash", "hex", "id", "int", "isinstance", "issubclass",
    "iter", "len", "list", "map", "max", "min", "next", "object", "oct", "ord", "pow",
    "property", "range", "repr", "reversed", "round", "set", "setattr", "slice", "sorted",
    "staticmethod", "str", "sum", "super", "tuple", "type", "zip", "Ellipsis", "NotImplemented",
    "__build_class__",
)  # fmt: skip

# A script that asks to leave or to interrupt would only confuse whoever reads its verdict.
_WITHHELD = {"SystemExit", "KeyboardInterrupt", "GeneratorExit"}

EXCEPTIONS = tuple(
    name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException) and name not in _WITHHELD
)

BUILTINS = (*_PLAIN_BUILTINS, *EXCEPTIONS)

ERRORS: dict[str, type[errors.RingdaqError]] = {
    name: cls
    for name, cls in errors.error_classes().items()
    if cls is errors.RingdaqError
    or issubclass(cls, errors.InstrumentError | errors.GrantError | errors.ScriptLimitError)
}
"""The errors of verbs, which a script may catch by name."""

OPEN_DUNDERS = frozenset({"__init__", "__name__", "__doc__", "__enter__", "__exit__"})
"""The only double-underscore attributes that honest scripts read."""

KNOWN_NAMES = frozenset(
    {*BUILTINS, *VERBS, *PLANS, *CAPABILITIES, *ERRORS, "ScriptStopped", "__name__", "__file__"}
)

HINTS = {
    "open": "scripts cannot open files; use emit(name=value) to record and parameters to read",
    "input": "scripts have no keyboard; start the run with parameters and read parameters[...]",
    "exec": "scripts cannot make code at run time",
    "eval": "scripts cannot make code at run time; float(text) and json.loads(text) read values",
    "compile": "scripts cannot make code at run time",
    "exit": "let the script come to its end, or raise an error",
    "quit": "let the script come to its end, or raise an error",
    "os": "scripts have no operating system",
    "sys": "scripts have no interpreter to look into",
    "time": "use sleep(seconds), which a stop can end",
    "threading": "a script has one thread",
    "asyncio": "verbs wait by themselves",
    "subprocess": "scripts cannot start processes",
    "socket": "scripts have no network",
    "numpy": 'the rig file can allow it: [scripts] modules = [..., "numpy"]',
}
"""What to do instead of something that scripts lack."""
