"""A stream's spec as Arrow columns, and back."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import ringdaq_core as core

from ringdaq.errors import CorruptRecordError, MissingExtraError, RingdaqError
from ringdaq.model import SAMPLES, TIME, Channel, StreamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

SPEC_KEY = "ringdaq"
"""Of the schema's metadata: the spec as JSON."""

Column = tuple[str, str, int, bool, dict[str, str]]


def _tensor_metadata(shape: tuple[int, ...]) -> dict[str, str]:
    return {
        "ARROW:extension:name": "arrow.fixed_shape_tensor",
        "ARROW:extension:metadata": json.dumps({"shape": list(shape)}, separators=(",", ":")),
    }


def _channel_column(channel: Channel) -> Column:
    metadata = {"unit": channel.unit}
    if (channel.scale, channel.offset) != (1.0, 0.0):
        metadata |= {"scale": repr(channel.scale), "offset": repr(channel.offset)}
    if channel.description:
        metadata["description"] = channel.description
    if not channel.shape:
        return channel.name, channel.dtype, 0, True, metadata
    metadata |= _tensor_metadata(channel.shape)
    return channel.name, channel.dtype, math.prod(channel.shape), False, metadata


def _columns(spec: StreamSpec) -> list[Column]:
    if spec.kind == "samples":
        names = json.dumps([channel.name for channel in spec.channels])
        width = len(spec.channels)
        return [(SAMPLES, spec.channels[0].dtype, width, False, {"channels": names})]
    return [(TIME, "time", 0, False, {}), *map(_channel_column, spec.channels)]


@dataclass(frozen=True)
class Layout:
    """A spec and its Arrow schema."""

    spec: StreamSpec
    schema: core.Schema
    generation: str = ""
    """Id of the ring, "" outside of one."""

    @classmethod
    def from_spec(cls, spec: StreamSpec, generation: str = "") -> Layout:
        """The layout of a stream to be written."""
        text = json.dumps(spec.to_dict(), separators=(",", ":"), ensure_ascii=False)
        return cls(spec, core.Schema(_columns(spec), {SPEC_KEY: text}), generation)

    @classmethod
    def from_message(cls, message: bytes, generation: str = "") -> Layout:
        """The layout that a ring's schema message describes."""
        schema = core.Schema.from_message(message)
        try:
            spec = StreamSpec.from_dict(json.loads(schema.metadata[SPEC_KEY]))
            agrees = _shapes(schema.columns) == _shapes(_columns(spec))
        except (KeyError, TypeError, ValueError, RingdaqError) as error:
            raise CorruptRecordError(
                f"a ring's schema must carry its spec; found {error!r}"
            ) from error
        if not agrees:
            raise CorruptRecordError(f"the schema of stream {spec.name!r} contradicts its spec")
        return cls(spec, schema, generation)

    @cached_property
    def columns(self) -> list[Column]:
        """Name, type, items of a list, nullable, metadata."""
        return self.schema.columns

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one row's value, by column."""
        if self.spec.kind == "samples":
            return {SAMPLES: (len(self.spec.channels),)}
        return {TIME: ()} | {channel.name: channel.shape for channel in self.spec.channels}

    @cached_property
    def numpy_types(self) -> list[tuple[str, np.dtype[Any] | None]]:
        """By column: its name, and the type of one row's value; `None` where numpy has none."""
        return [(name, self._numpy_type(name, dtype)) for name, dtype, *_ in self.columns]

    def _numpy_type(self, name: str, dtype: str) -> np.dtype[Any] | None:
        if dtype in {"bool", "string"}:
            return None
        return np.dtype(("int64" if dtype == "time" else dtype, self.shapes[name]))

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The schema in pyarrow's type."""
        arrow = pyarrow()
        return arrow.ipc.read_schema(arrow.py_buffer(self.schema.message))

    @cached_property
    def arrow_importer(self) -> Callable[[int, pa.Schema], pa.RecordBatch]:
        """What takes an array of the Arrow C data interface, by its address."""
        importer: Callable[[int, pa.Schema], pa.RecordBatch]
        importer = pyarrow().RecordBatch._import_from_c
        return importer


def _shapes(columns: list[Column]) -> list[tuple[str, str, int, bool]]:
    return [column[:4] for column in columns]


@cache
def pyarrow() -> Any:
    """The pyarrow package."""
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise MissingExtraError(
            "Arrow tables need pyarrow; install it with: pip install 'ringdaq[arrow]'",
            extra="arrow",
        ) from error
    return pyarrow
