"""Windows where they lie in their rings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ringdaq.streams.layout import Layout
from ringdaq.streams.record import Record
from ringdaq.streams.window import Window

if TYPE_CHECKING:
    from types import TracebackType


class _Reader(Protocol):
    def places(self, sequences: range) -> Sequence[Record]: ...
    def verify(self, sequence: int, *, cause: BaseException | None = None) -> None: ...


class WindowView:
    """A window that is not copied, verified when the context is left."""

    def __init__(self, layout: Layout, parts: Sequence[tuple[_Reader, range]]) -> None:
        self._parts = [part for part in parts if part[1]]
        self._window = Window(layout, [reader.places(range) for reader, range in self._parts])

    def __enter__(self) -> Window:
        return self._window

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            return
        # What the writer mixed up must not look like damage.
        for reader, sequences in self._parts:
            reader.verify(sequences.start, cause=error)
