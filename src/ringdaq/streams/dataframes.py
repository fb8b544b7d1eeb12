"""Rows as data frames of pandas and polars."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ringdaq.errors import MissingExtraError
from ringdaq.model import SAMPLES, TIME
from ringdaq.streams.layout import Layout

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from numpy.typing import NDArray

Array = np.ndarray[Any, np.dtype[Any]]


class _Rows(Protocol):
    def times(self) -> NDArray[np.int64]: ...
    def columns(self) -> dict[str, Array]: ...
    def to_arrow(self) -> Any: ...
    def __arrow_c_stream__(self, requested_schema: object = None) -> Any: ...


def _need(package: str) -> Any:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(
            f"data frames of {package} need it; install it with: pip install 'ringdaq[{package}]'",
            extra=package,
        ) from error


def _samples(layout: Layout, rows: _Rows) -> tuple[list[str], Array]:
    """Names of the channels, and all samples [rows, channels]."""
    channels = layout.spec.channels
    empty = np.empty((0, len(channels)), channels[0].dtype)
    return [channel.name for channel in channels], rows.columns().get(SAMPLES, empty)


def to_pandas(layout: Layout, rows: _Rows) -> pd.DataFrame:
    """A DataFrame indexed by time; whole numbers where some are missing become floats."""
    pandas = _need("pandas")
    index = pandas.DatetimeIndex(rows.times().view("M8[ns]"), tz="UTC", name=TIME)
    if layout.spec.kind == "samples":
        names, samples = _samples(layout, rows)
        return pandas.DataFrame(samples, index=index, columns=names)
    if layout.spec.kind == "rows":
        return rows.to_arrow().drop_columns(TIME).to_pandas().set_axis(index)
    columns = rows.columns()
    columns.pop(TIME, None)
    # An image a cell, a view each.
    plain = {name: list(c) if c.ndim > 1 else c for name, c in columns.items()}
    return pandas.DataFrame(plain, index=index)


def to_polars(layout: Layout, rows: _Rows) -> pl.DataFrame:
    """A DataFrame with a column `time`; images are lists of pixels, row by row."""
    polars = _need("polars")
    if layout.spec.kind != "samples":
        plain: pl.DataFrame = polars.DataFrame(rows)
        return plain
    names, samples = _samples(layout, rows)
    times = polars.Series(TIME, rows.times().view("M8[ns]")).dt.replace_time_zone("UTC")
    made: pl.DataFrame = polars.DataFrame(samples, schema=names, orient="row")
    return made.insert_column(0, times)
