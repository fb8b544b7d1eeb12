"""Rings and records byte for byte, made anew and read by other means than our own."""

import json
import shutil
import struct
import zlib

import pyarrow as pa
import pytest
from ring_vectors import FAR, VECTORS, frame_words, record_at, schema_of, vectors, words

from ringdaq.errors import OverrunError, WriterGoneError
from ringdaq.streams import StreamReader

RECORDS = ["rows", "samples", "frames"]
RINGS = ["ring_rows", "ring_samples_far"]


def expected(name: str):
    return json.loads((VECTORS / name).read_text())


def plain(batch: pa.RecordBatch) -> dict[str, list[object]]:
    """A record's values as the JSON has them."""
    if "time" in batch.schema.names:
        batch = batch.set_column(0, "time", batch["time"].cast("int64"))
    columns = batch.to_pydict()
    if "image" in columns:
        columns["image"] = [[i[y * 6 : y * 6 + 6] for y in range(4)] for i in columns["image"]]
    return columns


def decoded(record: bytes, schema: bytes) -> dict[str, list[object]]:
    """A record's values, after a check of its frame, by struct, zlib and pyarrow alone."""
    sync, crc = struct.unpack_from("<II", record)
    assert sync == 0x52494E47
    assert crc == zlib.crc32(record[8:64])
    payload = record[64 : 64 + frame_words(record)["payload_len"]]
    storage = pa.ipc.read_schema(pa.py_buffer(schema)).remove_metadata()
    fields = [
        pa.field(f.name, getattr(f.type, "storage_type", f.type), f.nullable) for f in storage
    ]
    return plain(pa.ipc.read_record_batch(pa.py_buffer(payload), pa.schema(fields)))


def test_the_vectors_are_made_anew_byte_for_byte():
    made = {name: content for some in vectors() for name, content in some.items()}
    for name, content in made.items():
        assert (VECTORS / name).read_bytes() == content, name
        assert len(content) < 64 << 10
    kept = {path.name for path in VECTORS.iterdir()} - {"README.md", "ring_header_v1.bin"}
    assert set(made) == kept


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_says_what_is_written_beside_it(name):
    record = (VECTORS / f"{name}_record_v1.bin").read_bytes()
    schema = (VECTORS / f"{name}_schema_v1.bin").read_bytes()
    wanted = expected(f"{name}_record_v1.json")
    assert frame_words(record) == wanted["frame"]
    assert len(record) == wanted["frame"]["length"]
    assert decoded(record, schema) == wanted["columns"]


@pytest.mark.parametrize("name", RINGS)
def test_a_ring_holds_what_is_written_beside_it(name):
    ring, wanted = (VECTORS / f"{name}_v1.ring").read_bytes(), expected(f"{name}_v1.json")
    assert words(ring).items() <= wanted["header"].items()
    numbers = range(wanted["header"]["oldest_sequence"], wanted["header"]["next_sequence"])
    for number, record in zip(numbers, wanted["records"], strict=True):
        found = record_at(ring, number)
        assert frame_words(found) == record["frame"]
        assert record["frame"]["sequence"] == number
        assert decoded(found, schema_of(ring)) == record["columns"]


@pytest.mark.parametrize("name", RINGS)
def test_our_own_reader_agrees(name, tmp_path):
    path = tmp_path / f"{name}.00000001.ring"
    shutil.copyfile(VECTORS / f"{name}_v1.ring", path)
    wanted, origin = expected(f"{name}_v1.json"), FAR if "far" in name else (0, 0, 0)
    header = wanted["header"]
    with StreamReader.open(path) as reader:
        statistics = reader.statistics()
        assert statistics.rows == header["row_count"]
        assert statistics.used_bytes == header["write_head"] - header["read_tail"]
        for record in wanted["records"]:
            found, frame = reader.read(record["frame"]["sequence"]), record["frame"]
            assert (found.first_nanos, found.first_row) == (
                frame["first_nanos"],
                frame["first_row"],
            )
            assert plain(found.to_arrow()) == record["columns"]
        with pytest.raises(OverrunError) as lost:
            reader.read(origin[0])
        assert lost.value.lost_records == header["oldest_sequence"] - origin[0]
        assert lost.value.lost_rows == wanted["records"][0]["frame"]["first_row"] - origin[2]
        with pytest.raises(WriterGoneError):
            reader.read(header["next_sequence"])
