"""Compiles a function with Numba to what the core calls, once for each text of it."""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ringdaq.errors import MissingExtraError
from ringdaq.pipeline.native_cache import cached_file
from ringdaq.pipeline.parts import RefusedError

CHANNELS = "channels"
RATE = "rate_hz"


def numba_library(function: str) -> Any:
    """Numba; a `MissingExtraError` names what to install."""
    try:
        import numba
    except ImportError as error:
        raise MissingExtraError(
            f"the native stage {function!r} is compiled by numba; install it with: "
            f"pip install 'ringdaq[numba]'",
            extra="numba",
        ) from error
    use_whole_vectors()
    return numba


def use_whole_vectors() -> None:
    """Let loops use vectors of 512 bits where the core's stages do; LLVM would halve them.

    Numba asks for this once, before it marks or compiles anything; what the user has set stays.
    """
    try:
        import numba
        from llvmlite import binding  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        return
    config: Any = numba.config
    features = binding.get_host_cpu_features()
    if config.CPU_FEATURES is None and features.get("avx512f"):
        config.CPU_FEATURES = f"{features.flatten()},-prefer-256-bit"


def warm_up() -> None:
    """Load Numba and all that its first compilation loads, so that the next one is quick."""

    def nothing(inp: Any) -> None:
        """Leave a packet as it is."""

    compile_stage(nothing, (), False)


def compile_stage(
    function: Callable[..., None], state: tuple[int | str, ...], fastmath: bool
) -> Any:
    """The C function of a stage; its `address` is valid while it lives.

    What was compiled before, by whichever process, is taken from the user's cache.
    """
    numba = numba_library(function.__name__)
    types = numba.types
    floats, doubles = types.CPointer(types.float32), types.CPointer(types.float64)
    sizes = (types.int64,) * 3
    signature = types.int32(floats, floats, *sizes, doubles, doubles)
    work = numba.njit(function, error_model="numpy", fastmath=fastmath)
    text = wrapper(function, state)
    file = cached_file(function, f"{text}\n# fastmath {fastmath}, numba {numba.__version__}\n")
    stage = _loaded(file, text, {"carray": numba.carray, "work": work})
    try:
        return _compiled(numba, signature, stage, cache=file is not None)
    except numba.core.errors.NumbaError as error:
        raise RefusedError(f"{function.__name__!r} cannot be compiled: {error}") from error


def _compiled(numba: Any, signature: Any, stage: Any, *, cache: bool) -> Any:
    try:
        return numba.cfunc(signature, cache=cache)(stage)
    except (ImportError, OSError, RuntimeError, pickle.PickleError, EOFError):
        if not cache:
            raise
        # What is kept is damaged, or was made where other modules could be imported.
        return numba.cfunc(signature)(stage)


def _loaded(file: Path | None, text: str, names: dict[str, Any]) -> Any:
    """The wrapper with what it calls; from a file, so that Numba can keep what it makes of it."""
    if file is None:
        exec(text, names)
        return names["stage"]
    spec = importlib.util.spec_from_file_location(f"ringdaq_native_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    vars(module).update(names)
    # Numba looks the module up by its name when it takes the function from its cache.
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module.stage


def wrapper(function: Callable[..., None], state: tuple[int | str, ...]) -> str:
    """The C function in Python: it makes arrays of the pointers and calls the user's.

    Packets whose rows have no padding are a case of their own, as only rows that follow each other
    without gaps are vectorized.
    """
    names = list(inspect.signature(function).parameters)
    arguments = ", ".join(_arguments(function, names))
    shape = "".join(f"{size}, " for size in state)
    return textwrap.dedent(f"""
        def stage(source, target, samples, channels, stride, numbers, memory):
            p = carray(numbers, {len(names) + 1})
            {f"state = carray(memory, ({shape}))" if state else "pass"}
            try:
                if stride == channels:
                    first = carray(source, (samples, channels))
                    out = carray(target, (samples, channels))
                    work(first, {arguments})
                else:
                    first = carray(source, (samples, stride))[:, :channels]
                    out = carray(target, (samples, stride))[:, :channels]
                    work(first, {arguments})
            except Exception:
                return 1
            return 0
    """)


def _arguments(function: Callable[..., None], names: list[str]) -> list[str]:
    found: list[str] = []
    place = 0
    for name in names[1:]:
        if name in ("out", "state"):
            found.append(name)
        elif name == RATE:
            found.append("p[0]")
        else:
            place += 1
            whole = inspect.signature(function).parameters[name].annotation in (int, "int")
            found.append(f"int(p[{place}])" if whole else f"p[{place}]")
    return found
