"""Look at a long script in a process apart.

Python's parser can be made to take gigabytes (`import a.a.a…` of 400 kB takes 40) or to hold the
interpreter lock for seconds. A short script can do neither, and is looked at in place.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgpack

from ringdaq.errors import RingdaqError, ScriptRejectedError, from_wire, to_wire
from ringdaq.scripts.confine import seal
from ringdaq.scripts.spawn import INTERPRETER, import_paths

SHORT_BYTES = 1 << 14
MEMORY_BYTES = 1 << 30
TIMEOUT_SECS = 30.0
_BOOT = "import sys; sys.path += sys.argv[1:]; from ringdaq.scripts.apart import main; main()"


def look_apart(function: str, **arguments: Any) -> Any:
    """The result of `check.FUNCTION(**arguments)`, or the `ScriptRejectedError` it raised."""
    request = msgpack.packb({"function": function, "arguments": arguments})
    try:
        done = subprocess.run(
            [*INTERPRETER, "-c", _BOOT, *import_paths()],
            input=request,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            timeout=TIMEOUT_SECS,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
        raise ScriptRejectedError(
            f"a script must be checked within {TIMEOUT_SECS:g} s and {MEMORY_BYTES} bytes of "
            "memory, and this one was not; split long statements"
        ) from error
    reply = msgpack.unpackb(done.stdout)
    if reply["error"] is not None:
        raise from_wire(reply["error"])
    return reply["result"]


def main() -> None:
    """The process apart: one request from standard input, one reply to standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    request = msgpack.unpackb(sys.stdin.buffer.read())
    look = _looker(request["function"], request["arguments"]["language"])
    seal()
    reply: dict[str, Any] = {"result": None, "error": None}
    try:
        reply["result"] = look(**request["arguments"])
    except RingdaqError as error:
        reply["error"] = to_wire(error)
    sys.stdout.buffer.write(msgpack.packb(reply))


def _looker(function: str, language: str) -> Callable[..., Any]:
    """The function, with all imported that it will need once files are out of reach."""
    from ringdaq.scripts import check

    # The parser asks for it at the first name of a character.
    import_module("unicodedata")
    if language == "rhai":
        import_module("ringdaq.scripts.rhai_check")
    looks: dict[str, Callable[..., Any]] = {"check": check.check_here, "used": check.used_here}
    return looks[function]
