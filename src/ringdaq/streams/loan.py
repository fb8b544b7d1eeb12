"""A frame or block that is filled where it will lie."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ringdaq.model import StreamSpec
from ringdaq.streams.failures import CORE_ERRORS
from ringdaq.streams.record import Array, sample_nanos

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    import ringdaq_core as core


class Loan:
    """Room for the next record of a ring; nobody sees it before it is committed.

    Nothing else can be written to the ring meanwhile. Left as a context without a commit, the room
    is given back and the record never existed.
    """

    array: Array
    """To be filled: a frame [height, width] or samples [rows, channels].

    It lies in shared memory and is not cleared; nobody may write into it after the commit.
    """

    def __init__(
        self,
        loan: core.Loan,
        spec: StreamSpec,
        rows: int,
        to_error: Callable[[Exception], Exception],
    ) -> None:
        self._core = loan
        self._spec = spec
        self._rows = rows
        self._to_error = to_error
        bulk = spec.channels[0]
        shape = (rows, len(spec.channels)) if spec.kind == "samples" else bulk.shape
        # Before Python 3.12, no stub can say that something is a buffer.
        self.array = np.frombuffer(loan, bulk.dtype).reshape(shape)  # type: ignore[call-overload]

    def commit(self, time_nanos: int, *values: Any) -> int:
        """Publish the record; returns its sequence number.

        The time is the first row's; the values are those of a frame's other channels.
        """
        last = time_nanos
        if self._rows > 1:
            last += sample_nanos(self._spec, self._rows - 1)
        try:
            sequence = self._core.commit(time_nanos, last, values)
        except (*CORE_ERRORS, TypeError, OverflowError) as error:
            raise self._to_error(error) from None
        self.array.flags.writeable = False
        return sequence

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._core.give_back()
