"""A record where it lies in the ring."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import ringdaq_core as core

from ringdaq.streams.failures import CORE_ERRORS
from ringdaq.streams.layout import Layout
from ringdaq.streams.record import Record

if TYPE_CHECKING:
    import pyarrow as pa


class PlacedRecord(core.Located, Record):  # type: ignore[override]
    """A record that is not copied; what it shows is true if leaving it as a context raises nothing.

    It is made of the core's reader, a sequence number, and the `StreamReader` that owns both.
    What leads to other bytes is copied before anyone follows it, as the writer may come by at any
    moment: the message's head, validity bits, text.
    """

    @property
    def _layout(self) -> Layout:  # type: ignore[override]
        layout: Layout = self.owner.layout
        return layout

    @cached_property
    def payload(self) -> memoryview:  # type: ignore[override]
        at, length = self.place
        view: memoryview = self.owner.mapping[at : at + length]
        return view

    @cached_property
    def _head(self) -> bytes:  # type: ignore[override]
        try:
            return self.head()
        except CORE_ERRORS as error:
            raise self.owner.error(error) from None

    def to_arrow(self) -> pa.RecordBatch:
        """The rows as pyarrow has them; numbers are not copied."""
        layout: Layout = self.owner.layout
        try:
            address = self.arrow()
        except core.CorruptError as error:
            raise self._damage(error) from None
        except CORE_ERRORS as error:
            raise self.owner.error(error) from None
        return layout.arrow_importer(address, layout.arrow_schema)

    def lapped(self, error: BaseException | None) -> None:
        """Called at the end of a context during which the writer came by."""
        # What the writer mixed up must not look like damage.
        if error is None or isinstance(error, Exception):
            self.owner.verify(self.sequence, cause=error)
