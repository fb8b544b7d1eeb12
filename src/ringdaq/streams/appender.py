"""Rows that are appended one by one and become records together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import ringdaq_core as core


class Appender:
    """Appends rows to a ring for much less than a record costs.

    A row that comes after a pause is committed at once. Rows that follow quickly wait until there
    are enough for a record or the first has waited for the deadline. Whatever else is written to
    the ring comes after them; `flush`, `close` and the ring's own `close` commit them at once.
    """

    append: Callable[..., None]
    """Take a row of values now; `None` is a missing value.

    A row that has one, or text, is a record of its own.
    """

    def __init__(self, appender: core.Appender) -> None:
        self._core = appender
        # The core's own method: a Python function around it would cost as much again.
        self.append = appender.append

    def flush(self) -> None:
        """Commit the rows that wait."""
        self._core.flush()

    close = flush

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.flush()
