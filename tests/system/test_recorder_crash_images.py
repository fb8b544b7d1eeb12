"""The live HDF5 file as a kill may leave it: rebuilt at every boundary between two of its writes.

Random kills hardly ever hit the inside of a flush; here each of its writes is one test.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.slow

FLUSHES = 6
CAPTURE = Path(__file__).with_name("capture_writes.c")

# Writes a live file, marking each point from which on the rows before it count as flushed.
MAKE = """
import ctypes, json, os, sys
from fractions import Fraction
from pathlib import Path
import numpy as np
from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.entries import End, GapEntry, Manifest, RecordEntry, StreamOpened
from ringdaq.recorder.live import LiveFile
from ringdaq.streams import StreamReader, StreamWriter

rings, file, library, flushes = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
mark = ctypes.CDLL(library).capture_mark
mark.argtypes = [ctypes.c_int64]
START = 1_700_000_000_000_000_000
SPECS = [
    StreamSpec("stage", "rows", (Channel("position", "float64", "mm"),), instrument="stage"),
    StreamSpec("meter", "rows", (Channel("value", "float64", "W"),), instrument="meter"),
    StreamSpec(
        "eeg",
        "samples",
        tuple(Channel(f"c{n}", "int16", "uV") for n in range(8)),
        sample_rate=Fraction(256),
    ),
    StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(16, 16)),)),
    StreamSpec("run.r1", "rows", (Channel("x", "float64"),)),
    StreamSpec("run.r1", "rows", (Channel("x", "float64"), Channel("y", "float64"))),
]
writers = [StreamWriter.create(rings, spec, capacity_bytes=4 << 20) for spec in SPECS]
readers = [StreamReader.open(writer.path) for writer in writers]
taken = [0] * len(SPECS)
description = {
    "recording_id": "r1", "run_id": "r1", "started_nanos": START, "title": "t" * 100,
    "script": {"text": "pass" * 500, "parameters": {"n": 1}},
    "instruments": [
        {"name": "stage", "capabilities": ["Movable"], "settings": {"v": 1.0}},
        {"name": "meter", "capabilities": ["Readable"]},
    ],
}
live = LiveFile(file, description)
live.take(Manifest(description))
live.publish()
marks = []

def promise():
    marks.append({name: one.durable_rows for name, one in live.counters().items()})
    mark(len(marks) - 1)

def pump():
    for index, reader in enumerate(readers):
        while taken[index] < reader.statistics().next_sequence:
            r = reader.read(taken[index])
            live.take(RecordEntry(index, r.sequence, r.first_row, r.rows, r.first_nanos,
                                  r.last_nanos, r.payload))
            taken[index] += 1

for index in range(4):
    live.take(StreamOpened(index, f"g{index}", SPECS[index], 0))
live.flush()
promise()
n = 0
for flush in range(flushes):
    if flush in (1, 3):
        index = 4 + flush // 2
        live.take(StreamOpened(index, f"g{index}", SPECS[index], 0))
    for n in range(n, n + 400):
        time = START + n * 10**7
        writers[0].append(time, n * 1.0)
        writers[1].append(time + 5, n * 1.0)
        writers[2].write_block(time, np.full((1, 8), n, np.int16))
        if n % 20 == 0:
            writers[3].write_frame(time, np.full((16, 16), n, np.uint16))
        if flush >= 3:
            writers[5].append(time, n * 1.0, n * 2.0)
        elif flush >= 1:
            writers[4].append(time, n * 1.0)
    n += 1
    pump()
    if flush == 2:
        live.take(GapEntry(1, taken[1], 0, taken[1], 0, "lapped"))
    live.flush()
    promise()
live.take(End({"state": "completed", "settings": {"stage": {"v": 2.0}}}))
live.finish()
promise()
live.seal(Disk())
promise()
print(json.dumps(marks))
"""
COLUMNS = {
    "stage": ("stage/position", 1, 0),
    "meter": ("meter/value", 1, 0),
    "eeg": ("eeg/samples", 1, 0),
    "camera": ("camera/image", 20, 0),
    "run.r1": ("events/x", 1, 400),
}


def images(log):
    """The file after each write, with the newest mark before it."""
    image, place, mark = bytearray(), 0, -1
    while place < len(log):
        kind, offset, length = struct.unpack_from("<cqq", log, place)
        place += 17
        data = log[place : place + length]
        place += length
        if kind == b"M":
            mark = offset
            continue
        if kind == b"T":
            del image[offset:]
            image.extend(bytes(offset - len(image)))
        else:
            image.extend(bytes(max(0, offset + length - len(image))))
            image[offset : offset + length] = data
        yield mark, image


def check(path, promised):
    """A plain reader finds at least what was promised, and what the file promises now is right."""
    with h5py.File(path) as file:
        entry = file["entry"]
        for stream, rows in promised.items():
            column, step, start = COLUMNS[stream]
            dataset = entry[column]
            told = int(dataset.parent.attrs["durable_rows"])
            assert told >= rows, stream
            values = dataset[:told].reshape(told, -1 if told else 1)[:, 0]
            np.testing.assert_array_equal(values, start + np.arange(told) * step)
            assert np.all(dataset.parent["time"][:told] > 0)


@pytest.fixture(scope="module")
def captured(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed, as for the core"
    directory = tmp_path_factory.mktemp("capture")
    library, log, rings = directory / "capture.so", directory / "log", directory / "rings"
    rings.mkdir()
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", library, CAPTURE, "-ldl"], check=True
    )
    done = subprocess.run(
        [sys.executable, "-c", MAKE, rings, directory / "r1.h5", library, str(FLUSHES)],
        env={
            **os.environ,
            "LD_PRELOAD": str(library),
            "CAPTURE_MATCH": "r1.h5",
            "CAPTURE_LOG": str(log),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout), log.read_bytes()


def test_the_file_opens_and_keeps_its_promise_at_every_write(captured, tmp_path):
    marks, log = captured
    path = tmp_path / "image.h5"
    seen = Counter()
    for mark, image in images(log):
        if mark < 0:
            continue  # not yet under its own name
        path.write_bytes(image)
        check(path, marks[mark])
        seen[mark] += 1
    assert set(seen) >= set(range(FLUSHES))
    assert sum(seen.values()) > 150
