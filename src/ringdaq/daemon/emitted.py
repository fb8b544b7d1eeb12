"""A run's own stream: the rows that its script emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ringdaq.daemon.publish import Publisher
from ringdaq.errors import BadRequestError
from ringdaq.model import Channel, StreamSpec, check_name
from ringdaq.streams import StreamWriter

CAPACITY_BYTES = 2 << 20
MAX_COLUMNS = 200
# Every whole number up to here is exact as float64, the one type of emitted numbers.
MAX_EXACT_INT = 1 << 53


def dtype_of(name: str, value: Any) -> str:
    """The column type that an emitted value asks for."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int) and abs(value) > MAX_EXACT_INT:
        raise BadRequestError(
            f"emit: {name} must be a whole number up to 2**53 to be kept exactly; found {value}: "
            "emit it as text"
        )
    if isinstance(value, (int, float)):
        return "float64"
    raise BadRequestError(
        f"emit: {name} must be a number, a truth value or a text; found {type(value).__name__}"
    )


def widened(dtypes: Mapping[str, str], row: Mapping[str, Any]) -> dict[str, str]:
    """The columns that also have room for a row; raises where no stream could hold it."""
    if not row:
        raise BadRequestError("emit needs at least one value, as in emit(signal=1.5)")
    wanted = dict(dtypes)
    for name, value in row.items():
        dtype = dtype_of(name, value)
        if wanted.setdefault(check_name(name, "value"), dtype) != dtype:
            raise BadRequestError(
                f"emit: {name} was {wanted[name]} before and must stay so; found {value!r:.80}"
            )
    if len(wanted) > MAX_COLUMNS:
        raise BadRequestError(f"a run may emit {MAX_COLUMNS} different names; found {len(wanted)}")
    return wanted


def _floats(values: tuple[Any, ...]) -> bool:
    for value in values:  # noqa: SIM110 -- `all` of a generator takes four times as long
        if type(value) is not float:
            return False
    return True


class EmittedStream:
    """Grows a column for each new name; a new set of columns is a new generation of the ring."""

    def __init__(
        self, run_id: str, publisher: Publisher, on_new_ring: Callable[[StreamWriter], None]
    ) -> None:
        self.name = f"run.{run_id}"
        self._publisher = publisher
        self._on_new_ring = on_new_ring
        self._dtypes: dict[str, str] = {}
        self._numbers: tuple[str, ...] | None = None
        """Its columns, if all are of numbers."""

    @property
    def opened(self) -> bool:
        """Whether anything was emitted."""
        return bool(self._dtypes)

    def emit(self, values: dict[str, Any]) -> None:
        """Write one row; a column without a value in it is missing there, not zero."""
        self.put(tuple(values), tuple(values.values()))

    def put(self, names: tuple[str, ...], values: tuple[Any, ...]) -> None:
        """`emit` of these values by these names; of two with one name the second counts."""
        if names == self._numbers and _floats(values):
            self._publisher.put_row(self.name, values)
            return
        row = dict(zip(names, values, strict=True))
        wanted = widened(self._dtypes, row)
        if wanted != self._dtypes:
            self._open(wanted)
        self._publisher.put_row(self.name, tuple(map(row.get, self._dtypes)))

    def _open(self, dtypes: dict[str, str]) -> None:
        spec = StreamSpec(
            name=self.name,
            kind="rows",
            channels=tuple(Channel(name, dtype) for name, dtype in dtypes.items()),
        )
        writer = self._publisher.open(spec, CAPACITY_BYTES)
        self._dtypes = dtypes
        self._numbers = tuple(dtypes) if set(dtypes.values()) == {"float64"} else None
        self._on_new_ring(writer)

    def close(self) -> None:
        """No more rows."""
        if self.opened:
            self._publisher.forget(self.name)
