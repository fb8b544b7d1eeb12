"""A record where it lies in the ring."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import ringdaq_core as core

from ringdaq.errors import StreamError
from ringdaq.streams.failures import CORE_ERRORS
from ringdaq.streams.layout import Layout
from ringdaq.streams.record import Record

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import pyarrow as pa


class _Reader(Protocol):
    @property
    def mapping(self) -> memoryview: ...
    def error(self, error: Exception) -> StreamError: ...
    def verify(self, sequence: int, *, cause: BaseException | None = None) -> None: ...


class PlacedRecord(Record):
    """A record that is not copied; what it shows is true if leaving it as a context raises nothing.

    What leads to other bytes is copied before anyone follows it, as the writer may come by at any
    moment: the message's head, validity bits, text.
    """

    def __init__(self, reader: _Reader, layout: Layout, located: core.Located) -> None:
        # All that costs is put off until somebody wants it.
        self._reader = reader
        self._layout = layout
        self._located = located

    @property
    def sequence(self) -> int:  # type: ignore[override]
        return self._located.sequence

    @property
    def rows(self) -> int:  # type: ignore[override]
        return self._located.frame[0]

    @property
    def first_nanos(self) -> int:  # type: ignore[override]
        return self._located.frame[1]

    @property
    def last_nanos(self) -> int:  # type: ignore[override]
        return self._located.last_nanos

    @property
    def first_row(self) -> int:  # type: ignore[override]
        return self._located.frame[3]

    @cached_property
    def payload(self) -> memoryview:  # type: ignore[override]
        at, length = self._located.place
        return self._reader.mapping[at : at + length]

    @cached_property
    def _head(self) -> bytes:  # type: ignore[override]
        try:
            return self._located.head()
        except CORE_ERRORS as error:
            raise self._reader.error(error) from None

    def to_arrow(self) -> pa.RecordBatch:
        """The rows as pyarrow has them; numbers are not copied."""
        layout = self._layout
        try:
            address = self._located.arrow()
        except core.CorruptError as error:
            raise self._damage(error) from None
        except CORE_ERRORS as error:
            raise self._reader.error(error) from None
        return layout.arrow_importer(address, layout.arrow_schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # What the writer mixed up must not look like damage.
        if not self._located.intact and (error is None or isinstance(error, Exception)):
            self._reader.verify(self.sequence, cause=error)
