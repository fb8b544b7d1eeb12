"""The bytes of a journal: segment headers and entries.

A segment is a file: a header of 128 bytes, then entries.
An entry is a header of 32 bytes (sync word, type, codec, length, entry number, time of writing,
CRC-32) and a payload padded with zeros to a multiple of 8.
The CRC covers header and padded payload and begins with the CRC of the recording's id, so bytes of
another recording never pass.
All numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np

from ringdaq.errors import CorruptJournalError, RecordingError
from ringdaq.model import StreamSpec
from ringdaq.recorder.native import crc32, seal_entry

FORMAT_VERSION = 2
SEGMENT_MAGIC = b"RDQJRNL\0"
SYNC = 0xE54A52D1
SYNC_BYTES = SYNC.to_bytes(4, "little")
ALIGNMENT = 8
SHORT_BYTES = 64 << 10
"""What is no longer than this is written in one piece."""
MAX_PAYLOAD_BYTES = 1 << 30
NO_CODEC = 0
MAX_CODEC = 2

_SEGMENT = struct.Struct("<8sIIQqH90s")
SEGMENT_HEADER_BYTES = _SEGMENT.size + 4
_ENTRY = struct.Struct("<IBBHIQq")
_CRC = struct.Struct("<I")
ENTRY_HEADER_BYTES = _ENTRY.size + _CRC.size
_STREAM = struct.Struct("<II")
_RECORDS = struct.Struct("<IIQQ")
_FRAME_BYTES = 32
MAX_ID_BYTES = 90


class EntryType(IntEnum):
    """What an entry holds."""

    MANIFEST = 1
    STREAM = 2
    RECORDS = 3
    GAP = 4
    END = 5
    CHECKPOINT = 6
    FOOTER = 7


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first bytes of a segment."""

    recording_id: str
    segment: int
    first_entry: int
    """Entries of earlier segments from this number on are void: they were never acknowledged."""
    created_nanos: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is recorded and why; a later manifest replaces an earlier one."""

    description: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """One generation of a stream takes part from here on."""

    index: int
    """Its number in this journal, the one that records and gaps name."""
    generation: str
    spec: StreamSpec
    start_sequence: int
    schema_ipc: bytes = b""


@dataclass(frozen=True, slots=True, eq=False)
class RecordsEntry:
    """Records of a ring that follow each other."""

    stream: int
    sequence: int
    """Of the first record."""
    first_row: int
    """Rows that the generation had produced before, counted from the recording's start."""
    frames: np.ndarray[Any, np.dtype[np.int64]]
    """[records, 4]: rows, first time, last time, bytes of the payload."""
    payloads: bytes | memoryview
    """The Arrow IPC record batch messages, one behind the other."""
    codec: int = 0
    """How Arrow packed their buffers: 0 not at all, 1 lz4, 2 zstd."""

    @property
    def records(self) -> int:
        """How many records."""
        return len(self.frames)

    @property
    def rows(self) -> int:
        """The rows of all records."""
        return int(self.frames[:, 0].sum())

    @property
    def last_nanos(self) -> int:
        """The newest row's time."""
        return int(self.frames[-1, 2])

    def ends(self) -> list[int]:
        """Where each payload begins, and where the last one ends."""
        return [0, *self.frames[:, 3].cumsum().tolist()]

    def each(self) -> Iterator[memoryview]:
        """The payloads."""
        whole = memoryview(self.payloads)
        for start, stop in pairwise(self.ends()):
            yield whole[start:stop]

    def part(self, first: int, end: int) -> RecordsEntry:
        """Some of the records, by their place."""
        ends = self.ends()
        return replace(
            self,
            sequence=self.sequence + first,
            first_row=self.first_row + int(self.frames[:first, 0].sum()),
            frames=self.frames[first:end],
            payloads=memoryview(self.payloads)[ends[first] : ends[end]],
        )


@dataclass(frozen=True, slots=True)
class GapEntry:
    """Records that are lost, with what is known of them."""

    stream: int
    first_sequence: int
    records: int
    first_row: int
    rows: int
    reason: str


@dataclass(frozen=True, slots=True)
class End:
    """The recording is over: state, error, end time, settings and counters as the daemon told."""

    end: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where each stream stood when the segment began, so that older segments need not be read."""

    accounts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Footer:
    """The segment is full and will not change: what it holds before this entry."""

    entries: int
    bytes: int
    crc: int
    """CRC-32 of the entries' headers, each of which holds the checksum of its payload."""


Part = bytes | memoryview
Body = Manifest | StreamOpened | RecordsEntry | GapEntry | End | Checkpoint | Footer


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as it was read: its number, its time of writing, and what it holds."""

    number: int
    written_nanos: int
    body: Body
    offset: int = 0
    """Where it begins in its segment."""
    end: int = 0
    """Where it ends in its segment."""


def padded(length: int) -> int:
    """The length rounded up to the entries' alignment."""
    return -(-length // ALIGNMENT) * ALIGNMENT


def crc_seed(recording_id: str) -> int:
    """What the checksums of a recording's entries begin with."""
    return crc32(recording_id.encode())


def crc_of(parts: Iterable[Part], begun: int = 0) -> int:
    """The CRC-32 of parts that follow each other."""
    for part in parts:
        begun = crc32(part, begun)
    return begun


def encode_segment_header(header: SegmentHeader) -> bytes:
    """The header as it stands in the file."""
    name = header.recording_id.encode()
    if not 0 < len(name) <= MAX_ID_BYTES:
        raise RecordingError(
            f"a recording's id must have 1 to {MAX_ID_BYTES} bytes; found {header.recording_id!r}"
        )
    head = _SEGMENT.pack(
        SEGMENT_MAGIC,
        FORMAT_VERSION,
        header.segment,
        header.first_entry,
        header.created_nanos,
        len(name),
        name,
    )
    return head + _CRC.pack(crc32(head))


def decode_segment_header(data: bytes | memoryview) -> SegmentHeader:
    """The header at the beginning of `data`; raises `CorruptJournalError` or `RecordingError`."""
    if len(data) < SEGMENT_HEADER_BYTES:
        raise CorruptJournalError(
            f"a journal segment begins with {SEGMENT_HEADER_BYTES} bytes of header; "
            f"found {len(data)}"
        )
    magic, version, segment, first, created, length, name = _SEGMENT.unpack_from(data)
    if magic != SEGMENT_MAGIC:
        raise CorruptJournalError(
            f"a journal segment begins with {SEGMENT_MAGIC!r}; found {magic!r}"
        )
    if crc32(data[: _SEGMENT.size]) != _CRC.unpack_from(data, _SEGMENT.size)[0]:
        raise CorruptJournalError("a journal segment's header fails its checksum")
    if version != FORMAT_VERSION:
        raise RecordingError(
            f"this ringdaq reads journals of format {FORMAT_VERSION}; found format {version}: "
            "use the version of ringdaq that wrote it"
        )
    return SegmentHeader(name[:length].decode(), segment, first, created)


def encode_entry(body: Body, number: int, written_nanos: int, seed: int) -> list[Part]:
    """The entry as a list of byte strings, to be written one after the other.

    The first begins with its header. What is short is one piece, as each piece costs its time.
    """
    entry_type, parts = _encode_body(body)
    length = sum(map(len, parts))
    if length > MAX_PAYLOAD_BYTES:
        raise RecordingError(f"a journal entry may have {MAX_PAYLOAD_BYTES} bytes; found {length}")
    codec = body.codec if isinstance(body, RecordsEntry) else NO_CODEC
    head = _ENTRY.pack(SYNC, entry_type, codec, 0, length, number, written_nanos)
    if length <= SHORT_BYTES:
        return [seal_entry(head, parts, seed)]
    if tail := -length % ALIGNMENT:
        parts.append(bytes(tail))
    return [head + _CRC.pack(crc_of([head, *parts], seed)), *parts]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")


def _encode_body(body: Body) -> tuple[EntryType, list[Part]]:
    if isinstance(body, RecordsEntry):
        head = _RECORDS.pack(body.stream, body.records, body.sequence, body.first_row)
        frames = body.frames.astype("<i8", copy=False).tobytes()
        return EntryType.RECORDS, [head, frames, body.payloads]
    if isinstance(body, StreamOpened):
        plain = _json(
            {
                "generation": body.generation,
                "spec": body.spec.to_dict(),
                "start_sequence": body.start_sequence,
            }
        )
        return EntryType.STREAM, [_STREAM.pack(body.index, len(plain)), plain, body.schema_ipc]
    return _encode_plain(body)


def _encode_plain(
    body: Manifest | GapEntry | End | Checkpoint | Footer,
) -> tuple[EntryType, list[Part]]:
    if isinstance(body, Manifest):
        return EntryType.MANIFEST, [_json(body.description)]
    if isinstance(body, End):
        return EntryType.END, [_json(body.end)]
    if isinstance(body, Checkpoint):
        accounts = {str(index): dict(account) for index, account in body.accounts.items()}
        return EntryType.CHECKPOINT, [_json(accounts)]
    kind = EntryType.GAP if isinstance(body, GapEntry) else EntryType.FOOTER
    return kind, [_json({name: getattr(body, name) for name in body.__slots__})]


def decode_entry(data: memoryview, offset: int, seed: int) -> Entry:
    """The entry at `offset`; raises `CorruptJournalError` when its bytes fail a check."""
    end = offset + ENTRY_HEADER_BYTES
    if end > len(data):
        raise CorruptJournalError("a journal entry's header is cut off")
    sync, kind, codec, _, length, number, written = _ENTRY.unpack_from(data, offset)
    stop = end + padded(length)
    if sync != SYNC or length > MAX_PAYLOAD_BYTES or stop > len(data):
        raise CorruptJournalError("a journal entry's header is damaged or its payload cut off")
    crc = crc32(data[offset : offset + _ENTRY.size], seed)
    if crc32(data[end:stop], crc) != _CRC.unpack_from(data, offset + _ENTRY.size)[0]:
        raise CorruptJournalError("a journal entry fails its checksum")
    if codec > MAX_CODEC:
        raise RecordingError(
            f"this ringdaq reads journal entries of codec 0 to {MAX_CODEC}; found codec {codec}"
        )
    body = _decode_body(kind, data[end : end + length], codec)
    return Entry(number, written, body, offset, stop)


def _decode_body(kind: int, payload: memoryview, codec: int) -> Body:
    if kind == EntryType.RECORDS:
        return _decode_records(payload, codec)
    if kind == EntryType.STREAM:
        return _decode_stream(payload)
    if kind not in EntryType.__members__.values():
        raise RecordingError(
            f"this ringdaq knows journal entries of type 1 to 7; found type {kind}: "
            "use the version of ringdaq that wrote it"
        )
    plain = json.loads(bytes(payload))
    if kind == EntryType.MANIFEST:
        return Manifest(plain)
    if kind == EntryType.END:
        return End(plain)
    if kind == EntryType.CHECKPOINT:
        return Checkpoint({int(index): account for index, account in plain.items()})
    return GapEntry(**plain) if kind == EntryType.GAP else Footer(**plain)


def _decode_records(payload: memoryview, codec: int) -> RecordsEntry:
    stream, records, sequence, first_row = _RECORDS.unpack_from(payload)
    start = _RECORDS.size + records * _FRAME_BYTES
    frames = np.frombuffer(payload[_RECORDS.size : start], "<i8").reshape(-1, 4)
    return RecordsEntry(stream, sequence, first_row, frames, payload[start:], codec)


def _decode_stream(payload: memoryview) -> StreamOpened:
    index, length = _STREAM.unpack_from(payload)
    plain = json.loads(bytes(payload[_STREAM.size : _STREAM.size + length]))
    return StreamOpened(
        index,
        plain["generation"],
        StreamSpec.from_dict(plain["spec"]),
        plain["start_sequence"],
        bytes(payload[_STREAM.size + length :]),
    )
