"""A recording of every kind of stream whose values tell their row, and checks of what is kept."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from fractions import Fraction

import h5py
import numpy as np

from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder.accounts import Ledger
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.entries import RecordsEntry
from ringdaq.recorder.recording import Recording
from ringdaq.recorder.scan import JournalReader
from ringdaq.streams import StreamWriter, decode

START = 1_700_000_000_000_000_000
TICK = 10**7
SPECS = [
    StreamSpec("stage", "rows", (Channel("position", "float64", "mm"),), instrument="stage"),
    StreamSpec("notes", "rows", (Channel("text", "string"), Channel("n", "int64"))),
    StreamSpec(
        "eeg",
        "samples",
        tuple(Channel(f"c{n}", "int16", "uV") for n in range(4)),
        sample_rate=Fraction(256),
    ),
    StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(8, 8)),)),
    StreamSpec("run.r1", "rows", (Channel("x", "float64"),)),
    StreamSpec("run.r1", "rows", (Channel("x", "float64"), Channel("y", "string"))),
]
GENERATIONS = (4, 5)
"""Of the run's own stream: it begins during the recording, and gets a column later."""


def text(row):
    return f"µ{row}" * (row % 5)


def _column(name, n):
    """What a column must hold in the stream's first rows."""
    if name in ("text", "y"):
        return np.array([text(row) for row in range(n)], dtype=object)
    return np.arange(1, n + 1)


class Load:
    """Rings, and a recording of them that goes through all that a recording goes through."""

    def __init__(self, rings, base, *, steps=8, seed=0, rows=12, storage=None):
        self.base = base
        self.file = base / "r1.h5"
        self.journal = base / "journals" / "r1"
        self._rings, self._steps, self._rows = rings, steps, rows
        self._storage = storage or {}
        self._chance = random.Random(seed)
        self._writers: list[StreamWriter] = []
        self._made: Counter[str] = Counter()

    def _open(self, *indices):
        for index in indices:
            writer = StreamWriter.create(self._rings, SPECS[index], capacity_bytes=1 << 19)
            self._writers.append(writer)

    def _produce(self):
        for writer in self._writers:
            if writer.spec.name == "run.r1" and writer is not self._writers[-1]:
                continue
            for _ in range(self._chance.randrange(1, self._rows)):
                self._append(writer, self._made[writer.spec.name])
                self._made[writer.spec.name] += 1

    def _append(self, writer, n):
        time = START + n * TICK
        if writer.spec.kind == "samples":
            writer.write_block(time, np.full((1, 4), n + 1, np.int16))
        elif writer.spec.kind == "frames":
            writer.write_frame(time, np.full((8, 8), n + 1, np.uint16))
        else:
            values = {"text": text(n), "y": text(n)}
            writer.append(time, *[values.get(c.name, n + 1) for c in writer.spec.channels])

    def description(self, base=None, *, end=None):
        base = base or self.base
        streams = []
        for writer in self._writers:
            now = writer.statistics()
            streams.append({
                "name": writer.spec.name, "path": str(writer.path),
                "generation": writer.generation, "start_sequence": 0, "start_rows": 0,
                "end_sequence": now.next_sequence if end else None,
                "end_rows": now.rows if end else None, "spec": writer.spec.to_dict(),
            })  # fmt: skip
        return parse_description({
            "recording_id": "r1", "run_id": "r1", "started_nanos": START, "title": "t" * 100,
            "directory": str(base / "journals" / "r1"), "file": str(base / "r1.h5"),
            "script": {"text": "pass" * 100, "parameters": {"n": 1}}, "streams": streams,
            "instruments": [{"name": "stage", "capabilities": ["Movable"], "settings": {"v": 1}}],
            "end": end, "storage": self._storage,
        })  # fmt: skip

    def run(self, disk, after_step=lambda recording: None):
        """Record from beginning to end; returns the recording."""
        self._open(0, 1, 2, 3)
        recording = self._begin(disk)
        for step in range(self._steps):
            if step in (2, 5):
                self._open(GENERATIONS[step == 5])
                recording.update(self.description())
            self._produce()
            self.step(recording)
            after_step(recording)
        recording.update(self.description(end=END))
        self.finish(recording, after_step)
        return recording

    def _begin(self, disk):
        """As the recorder's service does: an error of the disk is no reason to give up."""
        for _ in range(30):
            with contextlib.suppress(OSError):
                return Recording(
                    self.description(), flush_secs=0.0, disk=disk, segment_bytes=16_000
                )
        raise AssertionError("the recording could not begin")

    def step(self, recording):
        """Let it work, without the pauses that it makes after an error."""
        recording._retry_at = recording.file._retry_at = 0.0
        recording.step()

    def finish(self, recording, after_step=lambda recording: None):
        for _ in range(400):
            if recording.state != "recording":
                break
            self.step(recording)
            after_step(recording)
        assert recording.state == "sealed", recording.report()

    def finish_again(self, base):
        """What the next recorder does with a disk that the last one left behind."""
        recording = Recording(self.description(base, end=END), flush_secs=0.0)
        try:
            self.finish(recording)
        finally:
            recording.close()
        return recording.report()

    @property
    def produced(self):
        return dict(self._made)

    def close(self):
        for writer in self._writers:
            writer.close()


END = {"state": "completed", "ended_nanos": START, "settings": {"stage": {"v": 2}}}


def durable_rows(recording):
    """Rows that were acknowledged, by stream."""
    found: Counter[str] = Counter()
    for index, account in recording.ledger.accounts.items():
        found[SPECS[index].name] += account.rows
    return dict(found)


def check_journal(directory, promised):
    """It holds every acknowledged row, in order, with the values that were measured."""
    ledger, seen = Ledger(checked=True), Counter()
    for entry in JournalReader(directory).entries():
        for body in ledger.take(entry.body):
            assert body is entry.body, f"the journal lacks something: {body}"
            if isinstance(body, RecordsEntry):
                _check_records(ledger.streams[body.stream].spec, body, seen)
    for stream, rows in promised.items():
        assert seen[stream] >= rows, f"{stream}: {seen[stream]} of {rows} acknowledged rows"


def _check_records(spec, body, seen):
    for frame, payload in zip(body.frames.tolist(), body.each(), strict=True):
        _check_record(spec, decode(spec, payload, first_nanos=frame[1]), seen)


def _check_record(spec, record, seen):
    row = seen[spec.name]
    for name, values in record.columns().items():
        if name == "time":
            assert values[0] == START + row * TICK
        else:
            assert np.ravel(values)[0] == _column(name, row + 1)[-1], (spec.name, name, row)
    seen[spec.name] += 1


def check_file(path, promised, *, exact=False):
    """A plain reader finds at least the promised rows, and all that it finds is right."""
    with h5py.File(path) as file:
        groups = {str(g.attrs["stream"]): g for g in file["entry"].values() if "stream" in g.attrs}
        for stream, rows in promised.items():
            if rows or stream in groups:
                _check_group(groups[stream], rows, exact)


def _check_group(group, promised, exact):
    told = int(group.attrs["durable_rows"])
    assert told >= promised, (group.name, told, promised)
    for column in group.values():
        # Rows beyond those told may be there, but never such that were not measured.
        if not isinstance(column, h5py.Dataset) or column.name.rpartition("/")[2].startswith("ch"):
            continue
        rows = column.shape[0]
        assert rows == told if exact else rows >= told
        name = column.name.rpartition("/")[2]
        values = column.asstr()[:] if column.dtype == object else column[:]
        if name == "time":
            np.testing.assert_array_equal(values, START + np.arange(rows) * TICK)
        elif name == "y":
            first = int(np.sum(group["missing/y"][:rows]))
            assert list(values[first:]) == list(_column("y", rows)[first:])
            assert not any(values[:first])
        elif column.ndim:
            np.testing.assert_array_equal(values.reshape(rows, -1)[:, 0], _column(name, rows))
