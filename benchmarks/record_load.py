"""What the recorder is given to do while it is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from benchmarks.measure import quantile
from ringdaq.clock import now_nanos
from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder import describe_file
from ringdaq.recorder.alarm import Alarm
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.recording import Recording
from ringdaq.streams import StreamReader, StreamWriter

TIMES = 41
METER = StreamSpec("meter", "rows", (Channel("value", "float64", "W"),), instrument="meter")
CAMERA = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(512, 512)),))

# Writes the load's streams in the loop of an instrument, and tells how late each turn was.
PRODUCE = """
import json, sys, time
from fractions import Fraction
from pathlib import Path
import numpy as np
from ringdaq.clock import now_nanos
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter
rings = Path(sys.argv[1])
rows = StreamSpec("meter", "rows", (Channel("value", "float64", "W"),))
eeg = StreamSpec("eeg", "samples", tuple(Channel(f"c{n}", "float32", "uV") for n in range(32)),
                 sample_rate=Fraction(4000))
meter = StreamWriter.create(rings, rows, capacity_bytes=32 << 20)
brain = StreamWriter.create(rings, eeg, capacity_bytes=64 << 20)
block = np.random.default_rng(1).normal(size=(40, 32)).astype(np.float32)
print(json.dumps([str(meter.path), str(brain.path)]), flush=True)
for line in sys.stdin:
    late, due, end = [], time.monotonic(), time.monotonic() + float(line)
    turn = 0
    while due < end:
        due += 0.001
        time.sleep(max(0.0, due - time.monotonic()))
        late.append(time.monotonic() - due)
        for _ in range(10):
            meter.append(now_nanos(), 1.5)
        turn += 1
        if turn % 10 == 0:
            brain.write_block(now_nanos(), block)
    print(json.dumps(late), flush=True)
"""


class Load:
    """A process with a loop of 1 kHz: 10 000 rows a second, and 32 channels at 4 kHz."""

    def __init__(self, rings: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PRODUCE, str(rings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.paths = [Path(path) for path in self.answer()]

    def answer(self) -> Any:
        """Wait for what the process says."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def start(self, secs: float) -> None:
        """Let it produce for so long; `answer` then gives how late each turn of its loop was."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{secs}\n")
        self._process.stdin.flush()

    def run(self, secs: float) -> list[float]:
        """Produce for so long; returns how late each turn of the loop was, in seconds."""
        self.start(secs)
        late: list[float] = self.answer()
        return late

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def describe(directory: Path, paths: list[Path], *, end: bool = False) -> dict[str, Any]:
    """A recording of whole rings, as a daemon describes it."""
    streams = []
    for path in paths:
        with StreamReader.open(path) as reader:
            now = reader.statistics()
            streams.append({
                "name": reader.spec.name, "path": str(path), "generation": reader.generation,
                "start_sequence": 0, "start_rows": 0, "spec": reader.spec.to_dict(),
                "end_sequence": now.next_sequence if end else None,
                "end_rows": now.rows if end else None,
            })  # fmt: skip
    return {
        "recording_id": "bench", "run_id": "bench", "directory": str(directory / "journal"),
        "file": str(directory / "bench.h5"), "started_nanos": now_nanos(), "streams": streams,
        "instruments": [{"name": "meter", "capabilities": ["Readable"]}],
        "end": {"state": "completed"} if end else None,
    }  # fmt: skip


def finish(recording: Recording, directory: Path, paths: list[Path]) -> None:
    """End a recording and wait until its file is sealed."""
    recording.update(parse_description(describe(directory, paths, end=True)))
    while recording.state == "recording":
        if not recording.step():
            time.sleep(0.002)  # the file is sealed by a thread
    if recording.state != "sealed":
        raise RuntimeError(str(recording.report()))


def rows(directory: Path, rings: Path, *, secs: float, commit_secs: float) -> list[float]:
    """How late each row became durable, in seconds, by the loop of the recorder's process."""
    place, kept, alarm = directory / f"rows{commit_secs}", list[tuple[int, int]](), Alarm()
    with Load(rings) as load:
        path = load.paths[0]
        recording = Recording(parse_description(describe(place, [path])), behind=True)
        recording.step()
        load.start(secs)
        end = look_at = time.monotonic()
        end += secs
        while look_at < end:
            alarm.sleep(look_at - time.monotonic(), () if commit_secs else recording.awaited())
            look_at = time.monotonic() + (commit_secs or 0.05)
            while recording.step():
                pass
            kept.append((recording.ledger.accounts[0].next_sequence, now_nanos()))
        load.answer()
        late = list(_late(path, kept))
        finish(recording, place, [path])
    return late


def _late(path: Path, kept: list[tuple[int, int]]) -> Iterator[float]:
    seen = 0
    with StreamReader.open(path) as reader:
        for next_sequence, nanos in kept:
            while seen < next_sequence:
                frames = reader.copy_many(seen, next_sequence, 1 << 24).frames
                yield from ((nanos - frames[:, 2]) / 1e9).tolist()
                seen += len(frames)


@dataclass(frozen=True)
class Kept:
    """Images that were kept."""

    bytes: int
    secs: float
    lost: int


def frames(directory: Path, rings: Path, count: int) -> Kept:
    """Make and record images as fast as they can be kept in journal and file, both synced."""
    writer = StreamWriter.create(rings, CAMERA, capacity_bytes=160 << 20)
    recording = Recording(parse_description(describe(directory, [writer.path])), behind=True)
    image = np.random.default_rng(2).integers(0, 4096, (512, 512), np.uint16)
    recording.step()
    before, batch = time.perf_counter(), 32
    for _ in range(count // batch):
        for _ in range(batch):
            writer.write_frame(now_nanos(), image)
        while recording.step():
            pass
    made = count // batch * batch
    while _rows_in(directory / "bench.h5") < made:
        time.sleep(0.02)
    _sync(directory / "bench.h5")
    secs = time.perf_counter() - before
    finish(recording, directory, [writer.path])
    lost = recording.report()["streams"]["camera"]["gap_rows"]
    writer.close()
    return Kept(made * image.nbytes, secs, lost)


def _rows_in(path: Path) -> int:
    """What a reader of the growing file finds."""
    if not path.exists():
        return 0
    return int(describe_file(path)["streams"].get("camera", {"rows": 0})["durable_rows"])


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fdatasync(fd)
    os.close(fd)


def events(directory: Path, rings: Path, count: int) -> tuple[float, float]:
    """Seconds to open a sealed file of so many rows and read its plot, and to read a bare one."""
    import h5py

    writer = StreamWriter.create(rings, METER, capacity_bytes=64 << 20)
    recording = Recording(parse_description(describe(directory, [writer.path])))
    piece = 10_000
    for first in range(0, count, piece):
        times = np.arange(first, first + piece, dtype=np.int64) * 1000
        writer.write_rows(times, {"value": np.arange(first, first + piece) * 0.5})
        while recording.step():
            pass
    finish(recording, directory, [writer.path])
    writer.close()
    bare = directory / "bare.h5"
    with h5py.File(bare, "w") as file:
        file["time"], file["value"] = np.arange(count) * 1000, np.arange(count) * 0.5
    ours_secs, bare_secs = [], []
    for _ in range(TIMES):
        ours_secs.append(_timed(lambda: _read_default(directory / "bench.h5", h5py)))
        bare_secs.append(_timed(lambda: _read_bare(bare, h5py)))
    return quantile(ours_secs, 0.5), quantile(bare_secs, 0.5)


def _timed(work: Any) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _read_default(path: Path, h5py: Any) -> Any:
    with h5py.File(path) as file:
        entry = file[file.attrs["default"]]
        data = entry[entry.attrs["default"]]
        return [data[data.attrs["signal"]][:], data[data.attrs["axes"][0]][:]]


def _read_bare(path: Path, h5py: Any) -> Any:
    with h5py.File(path) as file:
        return [file["value"][:], file["time"][:]]
