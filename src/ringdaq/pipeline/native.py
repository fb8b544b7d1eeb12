"""Stages written in Python and compiled by Numba, which run without the interpreter."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, overload

from ringdaq.pipeline.native_build import CHANNELS, RATE, compile_stage
from ringdaq.pipeline.parts import PacketFormat, RefusedError

Shape = tuple[int | str, ...] | int | str
_GIVEN = ("out", "state", RATE)


class NativeStage:
    """A function that `native_stage` has marked; calling it runs it as plain Python."""

    def __init__(self, function: Callable[..., None], state: Shape, fastmath: bool) -> None:
        self.function = function
        self.name = function.__name__
        self.description = inspect.getdoc(function) or ""
        self.state = state if isinstance(state, tuple) else (state,)
        self._fastmath = fastmath
        self._names = list(inspect.signature(function).parameters)
        self._check()

    def _check(self) -> None:
        if not self._names or self._names[0] in _GIVEN:
            raise TypeError(
                f"a native stage takes the packet first, as in "
                f"def {self.name}(inp, out, state, gain=1.0); found {self._names}"
            )
        for size in self.state:
            if size != CHANNELS and (not isinstance(size, int) or size < 1):
                raise TypeError(
                    f"a state's shape is of whole numbers and {CHANNELS!r}; found {self.state}"
                )
        for name in self.parameters:
            default = self.parameters[name]
            if default is not inspect.Parameter.empty and not isinstance(default, int | float):
                raise TypeError(f"parameters are numbers; {name!r} has {default!r}")
        if ("state" in self._names) != (self.state != ()):
            raise TypeError(
                f"declare the state's shape where there is one, as in "
                f"@native_stage(state=(2, 'channels')); {self.name} has {self._names}"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the function as it is written, in Python."""
        self.function(*args, **kwargs)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """Its parameters with their defaults."""
        signature = inspect.signature(self.function)
        own = [name for name in self._names[1:] if name not in _GIVEN]
        return {name: signature.parameters[name].default for name in own}

    @cached_property
    def signature(self) -> inspect.Signature:
        """Its parameters alone."""
        whole = inspect.signature(self.function)
        return whole.replace(parameters=[whole.parameters[name] for name in self.parameters])

    @property
    def in_place(self) -> bool:
        """Whether it changes packets where they lie: it has no `out`."""
        return "out" not in self._names

    @cached_property
    def compiled(self) -> Any:
        """The C function; needs `ringdaq[numba]`."""
        return compile_stage(self.function, self.state, self._fastmath)

    def core_parameters(self, values: Mapping[str, Any], given: PacketFormat) -> dict[str, Any]:
        """What the core's `native` kind takes for packets of a form."""
        if given.kind == "raw":
            raise RefusedError("a native stage needs floats; put a to_voltage stage before it")
        numbers = [self._number(name, values) for name in self.parameters]
        channels = len(given.channels)
        size = math.prod(channels if one == CHANNELS else int(one) for one in self.state)
        return {
            "address": self.compiled.address,
            "keep": self.compiled,
            "in_place": self.in_place,
            "parameters": [float(given.rate), *numbers],
            "state": [0.0] * (size if self.state else 0),
        }

    def _number(self, name: str, values: Mapping[str, Any]) -> float:
        value = values.get(name, self.parameters[name])
        if value is inspect.Parameter.empty:
            raise RefusedError(f"the key {name!r} is missing; write it here")
        whole = inspect.signature(self.function).parameters[name].annotation in (int, "int")
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            wanted = "a whole number" if whole else "a finite number"
            raise RefusedError(f"{name!r} must be {wanted}; found {value!r}", name)
        return float(value)


@overload
def native_stage(function: Callable[..., None], /) -> NativeStage: ...
@overload
def native_stage(
    *, state: Shape = (), fastmath: bool = False
) -> Callable[[Callable[..., None]], NativeStage]: ...
def native_stage(
    function: Callable[..., None] | None = None, /, *, state: Shape = (), fastmath: bool = False
) -> NativeStage | Callable[[Callable[..., None]], NativeStage]:
    """Make a stage of a function that Numba compiles; it runs without the interpreter.

    The function takes the packet and where its results go, arrays [samples, channels] of float32;
    without an `out` it changes the packet itself. Of what it names further, it is given:

    - `state`: float64 of the shape that is declared here, such as `(2, "channels")`; zeros at the
      beginning, kept from packet to packet;
    - `rate_hz`: samples a second;
    - everything else: the number of that name in the graph text, a whole one where it is
      annotated `int`.
    """
    if function is not None:
        return NativeStage(function, state, fastmath)
    return lambda marked: NativeStage(marked, state, fastmath)
