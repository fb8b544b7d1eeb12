"""The bytes of a ring, read by other means than our own."""

import mmap
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from ringdaq.streams import StreamReader

VECTOR = Path(__file__).parents[2] / "vectors" / "ring_header_v1.bin"
HEADER = struct.Struct("<QQQQ II 16s QQQQQQQQ II")


def constants_crc(header: bytes) -> int:
    return zlib.crc32(header[0:16] + header[32:56] + header[96:124])


def test_the_golden_header_is_what_the_reference_says():
    header = VECTOR.read_bytes()
    assert len(header) == HEADER.size == 128
    fields = HEADER.unpack(header)
    assert fields == (
        0xDADADADA00000001, 4096, 0, 0,
        300, 1, bytes(range(16)),
        0, 0, 0, 4242, 0, 4224, 1024, 36992,
        0x12345678, constants_crc(header),
    )  # fmt: skip


def test_a_plain_reader_of_twenty_lines_works(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    for i in range(5):
        writer.append(i, i * i)
    with open(writer.path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    magic, capacity, head, tail = struct.unpack_from("QQQQ", mapping, 0)
    (schema_len,) = struct.unpack_from("I", mapping, 32)
    data_offset = 128
    assert magic == 0xDADADADA00000001
    data = mapping[data_offset + tail % capacity : data_offset + head % capacity]
    schema_at = struct.unpack_from("Q", mapping, 112)[0]
    schema = pa.ipc.read_schema(pa.py_buffer(mapping[schema_at : schema_at + schema_len]))
    found, at = [], 0
    while at < len(data):
        sync, crc, length, sequence, first, last, row, rows, payload_len = struct.unpack_from(
            "<IIQQqqQQQ", data, at
        )
        assert sync == 0x52494E47
        assert crc == zlib.crc32(data[at + 8 : at + 64])
        assert (sequence, first, last, row, rows) == (
            len(found),
            len(found),
            len(found),
            len(found),
            1,
        )
        payload = pa.py_buffer(data[at + 64 : at + 64 + payload_len])
        found += pa.ipc.read_record_batch(payload, schema).column("x").to_pylist()
        at += length
    assert found == [0, 1, 4, 9, 16]
    mapping.close()


def test_the_header_of_a_living_ring(make_writer, scalar_spec):
    writer = make_writer(scalar_spec, 4096)
    for i in range(40):
        writer.append(i, i)
    header = writer.path.read_bytes()[:128]
    (_, capacity, head, tail, _, version, generation, following, rows, oldest, _, _,
     index_at, entries, schema_at, _, crc) = HEADER.unpack(header)  # fmt: skip
    assert (capacity, version, generation.hex()) == (4096, 1, writer.generation)
    assert (following, rows) == (40, 40)
    assert 0 < oldest < 40
    assert tail < head <= tail + capacity
    assert index_at == 128 + capacity
    assert schema_at == index_at + 32 * entries
    assert crc == constants_crc(header)


def test_records_wrap_with_a_filler(make_writer, samples_spec):
    writer = make_writer(samples_spec, 4096)
    sizes = [10, 40, 25, 7, 60, 3, 90, 33]
    for i, rows in enumerate(sizes * 5):
        writer.write_block(i, np.full((rows, 4), i, np.int32))
        reader = StreamReader.open(writer.path)
        oldest = reader.statistics().oldest_sequence
        for sequence in range(oldest, i + 1):
            samples = reader.read(sequence).columns()["samples"]
            assert samples.shape == ((sizes * 5)[sequence], 4)
            assert (samples == sequence).all()
    data = writer.path.read_bytes()[128 : 128 + 4096]
    assert struct.pack("<I", 0x534B4950) in data


def test_files_are_private(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    for path in (writer.path, writer.path.with_suffix(".wake")):
        assert path.stat().st_mode & 0o777 == 0o600
    assert writer.path.with_suffix(".wake").stat().st_size == 64
