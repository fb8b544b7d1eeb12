"""Makes the golden bytes of rings in `tests/vectors`, and says what is in them.

Run as a program, it writes them anew. Every value follows from the number of its record; the three
words of a header that differ from ring to ring (generation, process id, heartbeat) are set.
"""

import json
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import ringdaq_core as core

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter
from ringdaq.streams.layout import Layout

VECTORS = Path(__file__).parents[1] / "vectors"
BEGIN_NANOS = 1_700_000_000_000_000_000
GENERATION = bytes(range(16))
WRITER_PID = 4242
HEARTBEAT_NANOS = 123_456_789
FAR = (2**53 - 3, 2**63 - 2048, 2**32 - 10)
"""Sequence number, byte offset and row that the far ring begins at; it passes all three borders."""

ROWS = StreamSpec(
    "meter",
    "rows",
    (
        Channel("power", "float64", "mW"),
        Channel("count", "int16"),
        Channel("good", "bool"),
        Channel("note", "string"),
    ),
)
SAMPLES = StreamSpec(
    "eeg", "samples", tuple(Channel(f"c{i}", "int32", "uV") for i in range(4)), Fraction(1000, 3)
)
FRAMES = StreamSpec(
    "camera", "frames", (Channel("image", "uint16", shape=(4, 6)), Channel("exposure", "float32"))
)

Columns = dict[str, list[Any]]
Bytes = dict[str, bytes]


def nanos(number: int) -> int:
    """Time of the first row of a record."""
    return BEGIN_NANOS + number * 1_000_000


def rows_of(number: int) -> Columns:
    """One to five rows; a power and a note are missing here and there."""
    rows = [number * 10 + row for row in range(1 + number % 5)]
    return {
        "time": [nanos(number) + row for row in range(len(rows))],
        "power": [None if row % 3 == 1 else row + 0.25 for row in rows],
        "count": [row - 5 for row in rows],
        "good": [row % 2 == 0 for row in rows],
        "note": [None if row % 4 == 3 else "µ" * (row % 7) + str(row) for row in rows],
    }


def samples_of(number: int) -> Columns:
    """One to eleven samples of four channels."""
    rows = 1 + number * 7 % 11
    return {"samples": [[number * 1000 + row * 10 + c for c in range(4)] for row in range(rows)]}


def frame_of(number: int) -> Columns:
    """An image of 4 × 6."""
    image = [[number * 100 + 6 * y + x for x in range(6)] for y in range(4)]
    return {"time": [nanos(number)], "image": [image], "exposure": [number + 0.5]}


def write_rows(writer: StreamWriter, number: int) -> Columns:
    """Write record `number`, and return what it holds."""
    columns = rows_of(number)
    times = np.array(columns["time"])
    writer.write_rows(times, {k: v for k, v in columns.items() if k != "time"})
    return columns


def write_samples(writer: StreamWriter, number: int) -> Columns:
    """Write record `number`, and return what it holds."""
    columns = samples_of(number)
    writer.write_block(nanos(number), np.array(columns["samples"], np.int32))
    return columns


def write_frame(writer: StreamWriter, number: int) -> Columns:
    """Write record `number`, and return what it holds."""
    columns = frame_of(number)
    image = np.array(columns["image"][0], np.uint16)
    writer.write_frame(nanos(number), image, columns["exposure"][0])
    return columns


def fixed(ring: bytes) -> bytes:
    """The ring with the words set that differ from ring to ring, and its checksum made anew."""
    header = bytearray(ring[:128])
    header[40:56] = GENERATION
    struct.pack_into("<I", header, 80, WRITER_PID)
    struct.pack_into("<Q", header, 88, HEARTBEAT_NANOS)
    crc = zlib.crc32(header[0:16] + header[32:56] + header[96:124])
    struct.pack_into("<I", header, 124, crc)
    return bytes(header) + ring[128:]


def write_ring(
    spec: StreamSpec,
    write: Callable[[StreamWriter, int], Columns],
    records: int,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> tuple[bytes, list[Columns]]:
    """The bytes of a ring of 4096 bytes, not closed, and what was written into it."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"{spec.name}.00000001.ring"
        period = (0, 0)
        if spec.sample_rate is not None:
            rate = spec.sample_rate
            period = (1_000_000_000 * rate.denominator, rate.numerator)
        made = core.RingWriter.create(
            path, Layout.from_spec(spec).schema, 4096, *period, origin=origin
        )
        writer = StreamWriter(made, spec, path)
        written = [write(writer, number) for number in range(records)]
        return fixed(path.read_bytes()), written


def words(ring: bytes) -> dict[str, int]:
    """The numbers of a header."""
    names = "capacity_bytes write_head read_tail"
    found = dict(zip(names.split(), struct.unpack_from("<QQQ", ring, 8), strict=True))
    names = "next_sequence row_count oldest_sequence"
    found |= zip(names.split(), struct.unpack_from("<QQQ", ring, 56), strict=True)
    names = "index_offset index_entries schema_offset"
    found |= zip(names.split(), struct.unpack_from("<QQQ", ring, 96), strict=True)
    return found | {"schema_len": struct.unpack_from("<I", ring, 32)[0]}


def frame_words(record: bytes) -> dict[str, int]:
    """The numbers of a record's frame."""
    names = "length sequence first_nanos last_nanos first_row rows payload_len"
    return dict(zip(names.split(), struct.unpack_from("<QQqqQQQ", record, 8), strict=True))


def record_at(ring: bytes, sequence: int) -> bytes:
    """A record with its frame and padding, found by the index."""
    header = words(ring)
    entry = header["index_offset"] + 32 * (sequence % header["index_entries"])
    at = 128 + struct.unpack_from("<Q", ring, entry + 8)[0] % header["capacity_bytes"]
    return ring[at : at + struct.unpack_from("<Q", ring, at + 8)[0]]


def schema_of(ring: bytes) -> bytes:
    """The schema message."""
    header = words(ring)
    return ring[header["schema_offset"] :][: header["schema_len"]]


def text(value: object) -> bytes:
    """JSON that is read by people too: a line a record."""
    encoded = json.dumps(value, ensure_ascii=False)
    return (encoded.replace(', {"frame"', ',\n  {"frame"') + "\n").encode()


def record_vectors(name: str, spec: StreamSpec, write: Any, number: int) -> Bytes:
    """One record, its schema, and what it says."""
    ring, written = write_ring(spec, write, number + 1)
    record = record_at(ring, number)
    expected = {"frame": frame_words(record), "columns": written[number]}
    return {
        f"{name}_record_v1.bin": record,
        f"{name}_schema_v1.bin": schema_of(ring),
        f"{name}_record_v1.json": text(expected),
    }


def ring_vectors(name: str, spec: StreamSpec, write: Any, records: int, origin: Any) -> Bytes:
    """A whole ring that has wrapped with a filler, and what is left in it."""
    ring, written = write_ring(spec, write, records, origin)
    header = words(ring)
    assert struct.pack("<I", 0x534B4950) in ring[128 : 128 + header["capacity_bytes"]]
    left = range(header["oldest_sequence"], header["next_sequence"])
    expected = {
        "header": header | {"generation": GENERATION.hex(), "writer_pid": WRITER_PID},
        "records": [
            {"frame": frame_words(record_at(ring, n)), "columns": written[n - origin[0]]}
            for n in left
        ],
    }
    return {f"{name}_v1.ring": ring, f"{name}_v1.json": text(expected)}


def vectors() -> Iterator[Bytes]:
    """All of them, by file name."""
    yield record_vectors("rows", ROWS, write_rows, 4)
    yield record_vectors("samples", SAMPLES, write_samples, 2)
    yield record_vectors("frames", FRAMES, write_frame, 3)
    yield ring_vectors("ring_rows", ROWS, write_rows, 23, (0, 0, 0))
    yield ring_vectors("ring_samples_far", SAMPLES, write_samples, 20, FAR)


def main() -> None:
    """Write the vectors into the directory that is named, or where they belong."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS
    for made in vectors():
        for name, content in made.items():
            (directory / name).write_bytes(content)


if __name__ == "__main__":
    main()
