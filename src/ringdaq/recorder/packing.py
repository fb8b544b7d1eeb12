"""Records packed for the journal by Arrow's own compression, and unpacked again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ringdaq.errors import CorruptJournalError, MissingExtraError
from ringdaq.recorder.entries import NO_CODEC, RecordsEntry

CODECS = {"none": NO_CODEC, "lz4": 1, "zstd": 2}
_NAMES = {number: name for name, number in CODECS.items()}


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError as error:
        raise MissingExtraError(
            "journals whose images are packed need pyarrow; "
            "install it with: pip install 'ringdaq[arrow]'",
            extra="arrow",
        ) from error
    return pyarrow


def pack(records: RecordsEntry, schema_ipc: bytes, codec: str) -> RecordsEntry:
    """The same records, their payloads Arrow messages with packed buffers."""
    arrow = _arrow()
    schema = arrow.ipc.read_schema(arrow.py_buffer(schema_ipc))
    options = arrow.ipc.IpcWriteOptions(compression=codec)

    def packed(payload: memoryview) -> Any:
        batch = arrow.ipc.read_record_batch(arrow.py_buffer(payload), schema)
        sink = arrow.BufferOutputStream()
        with arrow.ipc.new_stream(sink, schema, options=options) as writer:
            writer.write_batch(batch)
        messages = arrow.ipc.MessageReader.open_stream(sink.getvalue())
        messages.read_next_message()
        return messages.read_next_message().serialize()

    return _with_payloads(records, map(packed, records.each()), CODECS[codec])


def unpack(records: RecordsEntry, schema_ipc: bytes) -> RecordsEntry:
    """The records as every reader takes them; raises `CorruptJournalError`."""
    if records.codec == NO_CODEC:
        return records
    arrow = _arrow()
    schema = arrow.ipc.read_schema(arrow.py_buffer(schema_ipc))

    def unpacked(payload: memoryview) -> Any:
        return arrow.ipc.read_record_batch(arrow.py_buffer(payload), schema).serialize()

    try:
        return _with_payloads(records, map(unpacked, records.each()), NO_CODEC)
    except (arrow.ArrowInvalid, OSError) as error:
        raise CorruptJournalError(
            f"a record packed with {_NAMES[records.codec]} cannot be unpacked: {error}"
        ) from error


def _with_payloads(records: RecordsEntry, payloads: Iterable[Any], codec: int) -> RecordsEntry:
    parts = [memoryview(payload) for payload in payloads]
    frames = records.frames.copy()
    frames[:, 3] = [part.nbytes for part in parts]
    return replace(records, frames=frames, payloads=b"".join(parts), codec=codec)
