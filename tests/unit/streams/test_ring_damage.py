"""Damaged rings end in words, thousands of them, and never in a crash."""

import random
from pathlib import Path

import pytest

from ringdaq.errors import CorruptRecordError, StreamError
from ringdaq.model import StreamSpec
from ringdaq.streams import Record, StreamReader, StreamWriter, decode

CAPACITY = 32768


def use_everything(path: Path) -> None:
    with StreamReader.open(path) as reader:
        reader.statistics()
        reader.latest()
        reader.find(10)
        reader.wait(10_000, timeout=0)
        reader.window(1)
        for sequence in range(30):
            record = reader.read(sequence)
            record.columns(), record.masks(), record.times(), record.to_arrow()


@pytest.fixture
def whole(make_writer, rows_spec) -> tuple[Path, bytes]:
    writer = make_writer(rows_spec, CAPACITY)
    for i in range(12):
        writer.append(i, None if i % 3 else 1.0, i, True, "text" * i)
    return writer.path, writer.path.read_bytes()


def damage(original: bytes, chance: random.Random) -> bytes:
    """A few bytes changed: of the header, of header and data, of the schema; sometimes cut."""
    damaged, end = bytearray(original), len(original)
    places = [(0, 128), (0, 128 + CAPACITY), (end - 1200, end)]
    for _ in range(chance.randint(1, 6)):
        damaged[chance.randrange(*chance.choice(places))] = chance.randrange(256)
    return bytes(damaged[: chance.randrange(end)] if chance.random() < 0.1 else damaged)


def test_damage_is_an_error_and_never_a_crash(whole, tmp_path):
    path, original = whole
    chance = random.Random(7)
    victim = tmp_path / "victim.00000001.ring"
    path.with_suffix(".wake").rename(victim.with_suffix(".wake"))
    refused = 0
    for _ in range(3000):
        victim.write_bytes(damage(original, chance))
        try:
            use_everything(victim)
        except StreamError:
            refused += 1
    assert refused > 1000


def values(record: Record) -> list[object]:
    return [record.first_nanos, record.first_row, record.to_arrow().to_pydict()]


def test_a_ring_damaged_under_its_reader_gives_the_record_or_an_error(whole):
    path, original = whole
    chance, refused = random.Random(9), 0
    with StreamReader.open(path) as reader, path.open("r+b", buffering=0) as file:
        wanted = {n: values(reader.read(n)) for n in range(12)}
        places = [at for at in range(16, 96) if at < 32 or at >= 56]
        places += [128 + CAPACITY + at for at in range(12 * 32)]
        frames = [i for i in range(128, 128 + CAPACITY, 64) if original[i : i + 4] == b"GNIR"]
        places += [at for frame in frames for at in range(frame, frame + 64)]
        for _ in range(3000):
            at, number = chance.choice(places), chance.randrange(12)
            file.seek(at)
            file.write(bytes([chance.randrange(256)]))
            try:
                assert values(reader.read(number)) == wanted[number]
            except StreamError:
                refused += 1
            file.seek(at)
            file.write(original[at : at + 1])
        assert {n: values(reader.read(n)) for n in range(12)} == wanted
    assert refused > 100


def test_every_constant_byte_is_checked(whole, tmp_path):
    _, original = whole
    victim = tmp_path / "victim.00000001.ring"
    for at in [*range(16), *range(32, 56), *range(96, 128)]:
        damaged = bytearray(original)
        damaged[at] ^= 0xFF
        victim.write_bytes(damaged)
        with pytest.raises(CorruptRecordError):
            StreamReader.open(victim)


def test_an_unknown_layout_is_refused_with_both_numbers(whole, tmp_path):
    _, original = whole
    victim = tmp_path / "victim.00000001.ring"
    victim.write_bytes(original[:36] + b"\x07\0\0\0" + original[40:])
    with pytest.raises(CorruptRecordError, match=r"layout 1; found layout 7"):
        StreamReader.open(victim)


def test_a_damaged_record_does_not_hide_the_others(whole, tmp_path):
    path, original = whole
    at = original.index(b"GNIR", 128 + 64)
    damaged = bytearray(original)
    damaged[at + 20] ^= 1
    path.write_bytes(damaged)
    reader = StreamReader.open(path)
    with pytest.raises(CorruptRecordError, match=path.name):
        reader.read(1)
    assert [reader.read(i).sequence for i in (0, *range(2, 12))] == [0, *range(2, 12)]
    assert reader.statistics().records == 12


def test_damaged_payloads_are_refused_or_decoded(whole, rows_spec: StreamSpec):
    path, _ = whole
    payload = StreamReader.open(path).read(5).payload
    chance = random.Random(8)
    for _ in range(3000):
        damaged = bytearray(payload)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            record = decode(rows_spec, damaged)
            record.columns(), record.masks()
            record.to_arrow()
        except CorruptRecordError:
            pass


def test_a_ring_without_its_wake_file_is_read_but_not_waited_for(tmp_path, scalar_spec):
    with StreamWriter.create(tmp_path, scalar_spec, capacity_bytes=4096) as writer:
        writer.append(0, 1)
        writer.path.with_suffix(".wake").unlink()
        reader = StreamReader.open(writer.path)
        assert reader.read(0).rows == 1
        assert reader.wait(0, timeout=1)
        with pytest.raises(StreamError, match=r"\.wake|scalar"):
            reader.wait(1, timeout=1)
