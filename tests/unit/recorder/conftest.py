"""Rings, descriptions and recordings for the recorder's own tests."""

from __future__ import annotations

import time
from fractions import Fraction

import numpy as np
import pytest

from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.recording import Recording
from ringdaq.streams import StreamWriter

START = 1_700_000_000_000_000_000
STEP = 10_000_000

SPECS = {
    "stage": StreamSpec(
        "stage", "rows", (Channel("position", "float64", "mm"),), instrument="stage", simulated=True
    ),
    "meter": StreamSpec("meter", "rows", (Channel("value", "float64", "W"),), instrument="meter"),
    "eeg": StreamSpec(
        "eeg",
        "samples",
        (
            Channel("Fp1", "int16", "uV", scale=0.1, offset=-3.0, description="left"),
            Channel("a/b", "int16", "mV", scale=0.2),
        ),
        sample_rate=Fraction(512, 3),
        instrument="eeg",
        metadata={"cap": "10-20"},
    ),
    "camera": StreamSpec(
        "camera",
        "frames",
        (Channel("image", "uint16", shape=(3, 4)), Channel("exposure", "float64", "s")),
        instrument="camera",
    ),
    "events": StreamSpec(
        "run.r1", "rows", (Channel("x", "float64", "mm"), Channel("note", "string"))
    ),
    "more_events": StreamSpec(
        "run.r1",
        "rows",
        (
            Channel("x", "float64", "mm"),
            Channel("note", "string"),
            Channel("count", "int64"),
            Channel("good", "bool"),
        ),
    ),
}


class Bench:
    """Writes rings with values that are known, and describes recordings of them."""

    def __init__(self, rings, tmp_path):
        self.rings = rings
        self.path = tmp_path
        self.file = tmp_path / "r1.h5"
        self.journal = tmp_path / "journal"
        self.writers = {}
        self.made = 0
        self.recordings = []

    def open(self, *names, capacity_bytes=1 << 20):
        for name in names:
            self.writers[name] = StreamWriter.create(
                self.rings, SPECS[name], capacity_bytes=capacity_bytes
            )

    def produce(self, count=1):
        """Another `count` rows, or records of three samples, in each ring."""
        for n in range(self.made, self.made + count):
            for name, writer in self.writers.items():
                PRODUCE[name](writer, START + n * STEP, n)
        self.made += count

    def description(self, *, end=None, **changes):
        streams = []
        for writer in self.writers.values():
            now = writer.statistics()
            streams.append(
                {
                    "name": writer.spec.name,
                    "path": str(writer.path),
                    "generation": writer.generation,
                    "start_sequence": 0,
                    "start_rows": 0,
                    "end_sequence": now.next_sequence if end else None,
                    "end_rows": now.rows if end else None,
                    "spec": writer.spec.to_dict(),
                }
            )
        return {**DESCRIPTION, "directory": str(self.journal), "file": str(self.file)} | {
            "streams": streams,
            "end": end,
            **changes,
        }

    def record(self, **options):
        recording = Recording(parse_description(self.description()), flush_secs=0.0, **options)
        self.recordings.append(recording)
        return recording

    def end(self, recording, **changes):
        """End a recording and wait until it is sealed or has failed."""
        end = {**END, **changes}
        recording.update(parse_description(self.description(end=end)))
        deadline = time.monotonic() + 20
        while recording.state == "recording":
            recording.step()
            assert time.monotonic() < deadline, recording.report()
        return recording.report()

    def close(self):
        for recording in self.recordings:
            recording.close()
        for writer in self.writers.values():
            writer.close()


def _samples(writer, nanos, n):
    writer.write_block(nanos, np.array([[n, -n]] * 3, np.int16))


def _frame(writer, nanos, n):
    writer.write_frame(nanos, np.full((3, 4), n, np.uint16), n * 0.001)


PRODUCE = {
    "stage": lambda w, t, n: w.append(t, n * 0.1),
    "meter": lambda w, t, n: w.append(t + 5, n * 2.0),
    "eeg": _samples,
    "camera": _frame,
    "events": lambda w, t, n: w.append(t, n * 1.0, f"µ{n}" if n % 2 else None),
    "more_events": lambda w, t, n: w.append(t, None, f"µ{n}", n, bool(n % 2)),
}

END = {
    "state": "completed",
    "error": None,
    "ended_nanos": START + 10**12,
    "settings": {"stage": {"speed": {"value": 2.5, "unit": "mm/s"}}},
    "counters": {"stage": {"rows": 3}},
}

DESCRIPTION = {
    "recording_id": "r1",
    "run_id": "r1",
    "title": "a scan",
    "user": "ada",
    "started_nanos": START,
    "script": {
        "id": "s1",
        "name": "scan.py",
        "text": "print('µ')\n",
        "hash": "abc",
        "parameters": {"steps": 3, "step": 0.5, "a/b": "odd", ".": True, "list": [1, 2]},
    },
    "rig": {"text": "[rig]\n", "path": "rig.toml", "hash": "def"},
    "versions": {"ringdaq": "0.1.0"},
    "grant": ["stage"],
    "instruments": [
        {
            "name": "stage",
            "driver": "simulated.stage",
            "simulated": True,
            "capabilities": ["Movable"],
            "unit": "mm",
            "limits": {"position": [0.0, 50.0]},
            "settings": {"speed": {"value": 1.5, "unit": "mm/s"}},
        },
        {
            "name": "meter",
            "driver": "a.meter",
            "simulated": False,
            "capabilities": ["Readable"],
            "unit": "W",
            "settings": {},
        },
    ],
}


@pytest.fixture
def bench(ring_directory, tmp_path):
    made = Bench(ring_directory, tmp_path)
    yield made
    made.close()
