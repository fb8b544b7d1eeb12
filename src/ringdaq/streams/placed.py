"""A record where it lies in the ring."""

from __future__ import annotations

import numpy as np
import ringdaq_core as core

from ringdaq.errors import StreamError
from ringdaq.streams.failures import CORE_ERRORS
from ringdaq.streams.layout import Layout
from ringdaq.streams.record import Array, Buffers, Record


class PlacedRecord(core.Located, Record):  # type: ignore[override]
    """A record that is not copied; what it shows is true if leaving it as a context raises nothing.

    It is made of the core's reader, a sequence number, and the `StreamReader` that owns both.
    What leads to other bytes is copied before anyone follows it, as the writer may come by at any
    moment: the message's head, validity bits, text.
    """

    __slots__ = ()

    @property
    def _layout(self) -> Layout:  # type: ignore[override]
        layout: Layout = self.owner.layout
        return layout

    @property
    def payload(self) -> memoryview:  # type: ignore[override]
        # Before Python 3.12, no stub can say that something is a buffer.
        return memoryview(self)  # type: ignore[arg-type]

    @property
    def _head(self) -> bytes:  # type: ignore[override]
        try:
            return self.head()
        except CORE_ERRORS as error:
            raise self.owner.error(error) from None

    @property
    def _buffers(self) -> list[Buffers]:
        try:
            return self.buffers()
        except CORE_ERRORS as error:
            raise self.in_words(error) from None

    def columns(self) -> dict[str, Array]:
        """See `Record.columns`."""
        types = self.owner.layout.numpy_types
        try:
            found = self.arrays(np.frombuffer, types)
        except CORE_ERRORS as error:
            raise self.in_words(error) from None
        return super().columns() if found is None else found

    def in_words(self, error: Exception) -> StreamError:
        """What the core raised, as it is told to users."""
        if isinstance(error, core.CorruptError):
            return self._damage(error)
        found: StreamError = self.owner.error(error)
        return found

    def lapped(self, error: BaseException | None) -> None:
        """Called at the end of a context during which the writer came by."""
        # What the writer mixed up must not look like damage.
        if error is None or isinstance(error, Exception):
            self.owner.verify(self.sequence, cause=error)
