"""What the recorder is given to do while it is measured."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from ringdaq.clock import now_nanos
from ringdaq.model import Channel, StreamSpec
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.recording import Recording
from ringdaq.streams import StreamReader, StreamWriter

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
        self.paths = [Path(path) for path in self._answer()]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def run(self, secs: float) -> list[float]:
        """Produce for so long; returns how late each turn of the loop was, in seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{secs}\n")
        self._process.stdin.flush()
        late: list[float] = self._answer()
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
        recording.step()
    if recording.state != "sealed":
        raise RuntimeError(str(recording.report()))


def rows(directory: Path, rings: Path, *, rate: int, secs: float, tick_secs: float) -> list[float]:
    """How late each row became durable, in seconds; the rings are looked at so far apart."""
    place = directory / f"rows{tick_secs}"
    writer = StreamWriter.create(rings, METER, capacity_bytes=64 << 20)
    recording = Recording(parse_description(describe(place, [writer.path])))
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(writer, rate, stop))
    thread.start()
    late, seen, end = [], 0, time.monotonic() + secs
    with StreamReader.open(writer.path) as reader:
        while time.monotonic() < end:
            recording.step()
            kept = now_nanos()
            account = recording.ledger.accounts.get(0)
            known = account.next_sequence if account else 0
            late += [(kept - reader.read(n).last_nanos) / 1e9 for n in range(seen, known)]
            seen = known
            time.sleep(tick_secs)
    stop.set()
    thread.join()
    finish(recording, place, [writer.path])
    writer.close()
    return late


def _produce(writer: StreamWriter, rate: int, stop: threading.Event) -> None:
    begun, made = time.monotonic(), 0
    while not stop.wait(0.001):
        due = int((time.monotonic() - begun) * rate)
        for _ in range(made, due):
            writer.append(now_nanos(), 1.5)
        made = due


@dataclass(frozen=True)
class Kept:
    """Images that were kept."""

    bytes: int
    secs: float
    lost: int


def frames(directory: Path, rings: Path, count: int) -> Kept:
    """Record images as fast as they can be kept; the time of making them does not count."""
    writer = StreamWriter.create(rings, CAMERA, capacity_bytes=160 << 20)
    recording = Recording(parse_description(describe(directory, [writer.path])))
    image = np.random.default_rng(2).integers(0, 4096, (512, 512), np.uint16)
    recording.step()
    secs, batch = 0.0, 32
    for _ in range(count // batch):
        for _ in range(batch):
            writer.write_frame(now_nanos(), image)
        before = time.perf_counter()
        while recording.step():
            pass
        secs += time.perf_counter() - before
    before = time.perf_counter()
    live = recording.file._live
    assert live is not None
    live.flush()
    live._bytes.sync()
    secs += time.perf_counter() - before
    finish(recording, directory, [writer.path])
    lost = recording.report()["streams"]["camera"]["gap_rows"]
    writer.close()
    return Kept(count // batch * batch * image.nbytes, secs, lost)


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
    for _ in range(15):
        ours_secs.append(_timed(lambda: _read_default(directory / "bench.h5", h5py)))
        bare_secs.append(_timed(lambda: _read_bare(bare, h5py)))
    return sorted(ours_secs)[7], sorted(bare_secs)[7]


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
