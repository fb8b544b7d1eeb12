"""The example reader in C: golden rings, rings of our own, a writer that laps it, and damage."""

import json
import os
import random
import signal
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples/readers/ring_reader.c"
VECTORS = ROOT / "tests/vectors"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-warning-option"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def build(target: Path, *flags: str) -> Path:
    command = ["cc", *STRICT, *flags, "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True, timeout=120)
    return target


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return build(tmp_path_factory.mktemp("reader") / "plain", "-O2")


@pytest.fixture(scope="module")
def reader(plain, tmp_path_factory):
    """The reader with all checks that the compiler has; without any where it has none."""
    target = tmp_path_factory.mktemp("reader") / "sanitized"
    try:
        build(target, *SANITIZED)
    except subprocess.CalledProcessError:
        return plain
    tried = subprocess.run([target], capture_output=True, timeout=60, check=False)
    return target if tried.returncode == 2 else plain


def read(reader, ring):
    return subprocess.run([reader, ring], capture_output=True, text=True, timeout=100, check=False)


def records_of(text):
    """(sequence, rows, first, last) and the rows of each record."""
    found = []
    for line in text.splitlines():
        if line.startswith("record "):
            found.append((tuple(map(int, line.split()[1:])), []))
        else:
            found[-1][1].append(line.split("\t")[1:])
    return found


def shown(value):
    """A value as the reader prints it; an image is its sum."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.17g}"
    return str(value)


def row_shown(columns, row):
    values = [values[row] for values in columns.values()]
    return [shown(v) for value in values for v in (value if isinstance(value, list) else [value])]


def test_it_is_short():
    assert len(SOURCE.read_text().splitlines()) < 200


@pytest.mark.parametrize("name", ["ring_rows_v1", "ring_samples_far_v1"])
def test_golden_rings_are_read(reader, name):
    done = read(reader, VECTORS / f"{name}.ring")
    assert (done.returncode, done.stderr) == (0, "")
    expected = json.loads((VECTORS / f"{name}.json").read_text())["records"]
    found = records_of(done.stdout)
    for (numbers, rows), record in zip(found, expected, strict=True):
        frame, columns = record["frame"], record["columns"]
        wanted = ("sequence", "rows", "first_nanos", "last_nanos")
        assert numbers == tuple(frame[key] for key in wanted)
        assert rows == [row_shown(columns, row) for row in range(frame["rows"])]


DTYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def test_every_type_is_read_to_its_limits(reader, tmp_path):
    channels = [Channel(dtype, dtype) for dtype in [*DTYPES, "float32", "float64"]]
    spec = StreamSpec("all", "rows", (*channels, Channel("b", "bool"), Channel("s", "string")))
    ends = [(int(np.iinfo(d).min), int(np.iinfo(d).max)) for d in DTYPES]
    low, high = [a for a, _ in ends], [b for _, b in ends]
    with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 16) as writer:
        writer.append(1, *low, -0.5, 1e300, False, "")
        writer.append(2, *high, 0.25, -1e-300, True, "äöü")
        writer.append(3, *[None] * len(spec.channels))
    done = read(reader, writer.path)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [row for _, part in records_of(done.stdout) for row in part]
    assert rows == [
        ["1", *map(str, low), "-0.5", f"{1e300:.17g}", "false", ""],
        ["2", *map(str, high), "0.25", f"{-1e-300:.17g}", "true", "äöü"],
        ["3", *["null"] * len(spec.channels)],
    ]


def test_images_are_summed(reader, tmp_path):
    image = Channel("image", "uint16", shape=(48, 64))
    spec = StreamSpec("camera", "frames", (image, Channel("exposure", "float32")))
    with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 16) as writer:
        for number in range(30):
            writer.write_frame(number, np.full((48, 64), 2000 + number, np.uint16), 0.5)
    found = records_of(read(reader, writer.path).stdout)
    oldest = StreamReader.open(writer.path).statistics().oldest_sequence
    assert [rows for _, rows in found] == [
        [[str(n), str(48 * 64 * (2000 + n)), "0.5"]] for n in range(oldest, 30)
    ]


ROWS = StreamSpec("rows", "rows", (Channel("n", "int64"), Channel("square", "float64")))
BLOCKS = StreamSpec("eeg", "samples", (Channel("a", "int32"), Channel("b", "int32")), Fraction(100))


@pytest.fixture
def follow(reader):
    """Starts the reader on a ring."""
    started = []

    def start(path):
        process = subprocess.Popen(
            [reader, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_it_sleeps_until_the_writer_commits(follow, tmp_path):
    with StreamWriter.create(tmp_path, ROWS, capacity_bytes=1 << 16) as writer:
        process = follow(writer.path)
        for number in range(50):
            writer.append(number, number, number**2)
            assert process.stdout.readline() == f"record {number} 1 {number} {number}\n"
            assert process.stdout.readline() == f"\t{number}\t{number}\t{number**2}\n"
    assert process.wait(60) == 0
    assert process.stderr.read() == ""


def test_it_notices_a_dead_writer(follow, tmp_path):
    writer = StreamWriter.create(tmp_path, BLOCKS, capacity_bytes=1 << 16)
    writer.write_block(5, np.array([[1, -1], [2, -2]], np.int32))
    process = follow(writer.path)
    assert [process.stdout.readline() for _ in range(3)][1:] == ["\t1\t-1\n", "\t2\t-2\n"]
    del writer
    assert process.wait(60) == 0


WRITER = """
import sys
from pathlib import Path
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

spec = StreamSpec("rows", "rows", (Channel("n", "int64"), Channel("square", "float64")))
count = int(sys.argv[2])
with StreamWriter.create(Path(sys.argv[1]), spec, capacity_bytes=1 << 15) as writer:
    print(writer.path, flush=True)
    for n in range(count):
        if n in (10, count // 2):
            print(n, flush=True)
            sys.stdin.readline()
        rows = 1 + n % 7
        writer.write_rows([n] * rows, {"n": [n] * rows, "square": [n * n] * rows})
"""


def test_a_writer_that_laps_it_costs_counted_records_and_nothing_else(follow, tmp_path):
    count = 40_000
    command = [sys.executable, "-c", WRITER, str(tmp_path), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as w:

        def go_on():
            w.stdin.write("\n")
            w.stdin.flush()

        process = follow(w.stdout.readline().strip())
        w.stdout.readline()
        before = "".join(process.stdout.readline() for _ in range(10 + 34))
        process.send_signal(signal.SIGSTOP)
        go_on()
        assert w.stdout.readline() == f"{count // 2}\n"
        process.send_signal(signal.SIGCONT)
        go_on()
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    found = records_of(before + out)
    for (sequence, rows, first, last), values in found:
        assert (first, last, rows) == (sequence, sequence, 1 + sequence % 7)
        assert values == [[str(sequence), str(sequence), str(sequence**2)]] * rows
    sequences = [numbers[0] for numbers, _ in found]
    assert sequences == sorted(set(sequences))
    assert (sequences[0], sequences[-1]) == (0, count - 1)
    lost = [tuple(map(int, line.split()[1:])) for line in err.splitlines()]
    assert lost
    assert len(found) + sum(records for records, _ in lost) == count
    seen = sum(numbers[1] for numbers, _ in found)
    assert seen + sum(rows for _, rows in lost) == sum(1 + n % 7 for n in range(count))


@pytest.fixture
def ring(tmp_path):
    """The bytes of a ring with rows, texts among them, that has wrapped; closed."""
    spec = StreamSpec("rows", "rows", (Channel("n", "int64"), Channel("s", "string")))
    with StreamWriter.create(tmp_path, spec, capacity_bytes=4096) as writer:
        for number in range(40):
            writer.append(number, number, "text" * (number % 5))
    return writer.path


@pytest.mark.parametrize("length", [0, 1, 127, 128, 4096, -1])
def test_a_cut_ring_is_refused(reader, ring, length):
    os.truncate(ring, length if length >= 0 else ring.stat().st_size - 1)
    done = read(reader, ring)
    assert done.returncode == 2
    assert done.stderr.startswith("damaged: ")


def test_what_is_no_ring_is_refused(reader, tmp_path):
    os.mkfifo(tmp_path / "fifo.ring")
    (tmp_path / "link.ring").symlink_to("/dev/zero")
    for name in ("none.ring", "fifo.ring", "link.ring", "."):
        assert read(reader, tmp_path / name).returncode == 2, name


def test_damage_is_refused_and_never_a_crash(reader, ring):
    whole = ring.read_bytes()
    index = 128 + 4096
    schema = index + 32 * 1024
    chance = random.Random(7)
    places = [
        *(range(128)),
        *(chance.randrange(128, index) for _ in range(40)),
        *(chance.randrange(schema, len(whole)) for _ in range(30)),
    ]
    refused = 0
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        ring.write_bytes(damaged)
        done = read(reader, ring)
        assert done.returncode in (0, 2), (place, done.stderr)
        refused += done.returncode == 2
    assert refused > 60


def test_a_message_that_lies_is_refused(reader, ring):
    """Frames with right checksums around messages that lead anywhere."""
    whole = ring.read_bytes()
    with StreamReader.open(ring) as opened, opened.view() as record:
        at = np.frombuffer(record.payload, np.uint8).ctypes.data - opened.address
    chance = random.Random(3)
    for _ in range(100):
        damaged = bytearray(whole)
        place = at + 4 * chance.randrange(0, 100)
        struct.pack_into("<I", damaged, place, chance.choice([0, 1, 0x7FFFFFFF, 0xFFFFFFF0, 4096]))
        crc = zlib.crc32(damaged[at - 56 : at])
        struct.pack_into("<I", damaged, at - 60, crc)
        ring.write_bytes(damaged)
        done = read(reader, ring)
        assert done.returncode in (0, 2), (place - at, done.stderr)
