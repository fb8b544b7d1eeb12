"""Records packed for the journal by Arrow's own compression, and unpacked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ringdaq.errors import CorruptJournalError, MissingExtraError
from ringdaq.recorder.entries import NO_CODEC, RecordEntry

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


def pack(record: RecordEntry, schema_ipc: bytes, codec: str) -> RecordEntry:
    """The same record, its payload an Arrow message with packed buffers."""
    arrow = _arrow()
    schema = arrow.ipc.read_schema(arrow.py_buffer(schema_ipc))
    batch = arrow.ipc.read_record_batch(arrow.py_buffer(record.payload), schema)
    sink = arrow.BufferOutputStream()
    options = arrow.ipc.IpcWriteOptions(compression=codec)
    with arrow.ipc.new_stream(sink, schema, options=options) as writer:
        writer.write_batch(batch)
    messages = arrow.ipc.MessageReader.open_stream(sink.getvalue())
    messages.read_next_message()
    payload = memoryview(messages.read_next_message().serialize())
    return replace(record, payload=payload, codec=CODECS[codec])


def unpack(record: RecordEntry, schema_ipc: bytes) -> RecordEntry:
    """The record as every reader of records takes it; raises `CorruptJournalError`."""
    if record.codec == NO_CODEC:
        return record
    arrow = _arrow()
    schema = arrow.ipc.read_schema(arrow.py_buffer(schema_ipc))
    try:
        batch = arrow.ipc.read_record_batch(arrow.py_buffer(record.payload), schema)
    except (arrow.ArrowInvalid, OSError) as error:
        raise CorruptJournalError(
            f"a record packed with {_NAMES[record.codec]} cannot be unpacked: {error}"
        ) from error
    return replace(record, payload=memoryview(batch.serialize()), codec=NO_CODEC)
