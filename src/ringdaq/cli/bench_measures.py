"""What `ringdaq bench` measures.

`python -m ringdaq.cli.bench_measures RING COUNT` is the other process: it waits for records, and
prints how late it had each, in ns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ringdaq.errors import RecordingError, RingSpaceError
from ringdaq.model import Channel, StreamSpec

ROUNDS = 5
MIB = 1 << 20
ROWS, BLOCKS, FRAMES, WAKES = 200_000, 4000, 60, 1000
DISK_BYTES = 256 * MIB
PERIOD_SECS = 0.001
SCALAR = StreamSpec("bench", "rows", (Channel("value", "float64"),))
CAMERA = StreamSpec("bench-camera", "frames", (Channel("image", "uint16", shape=(2048, 2048)),))


@dataclass(frozen=True)
class Machine:
    """What the machine does; medians."""

    rows_per_sec: float
    """Single rows, appended from Python one by one."""
    ring_bytes_per_sec: float
    """Frames copied into a ring."""
    wake_us: float
    """From the writer's clock to another process that slept."""
    wake_p99_us: float
    disk_bytes_per_sec: float
    """Written and made durable."""

    def rows(self) -> list[tuple[str, str]]:
        """The figures in words."""
        return [
            ("rows into a ring, one by one", f"{self.rows_per_sec:,.0f} rows/s"),
            ("frames into a ring", f"{self.ring_bytes_per_sec / 1e6:,.0f} MB/s"),
            ("waking another process", f"{self.wake_us:.0f} µs (99 %: {self.wake_p99_us:.0f} µs)"),
            ("durable on disk", f"{self.disk_bytes_per_sec / 1e6:,.0f} MB/s"),
        ]


def measure(rings: Path, recordings: Path, *, share: float) -> Machine:
    """Measure everything, with so large a share of the full counts."""
    try:
        with tempfile.TemporaryDirectory(dir=rings, prefix="ringdaq-bench-") as name:
            directory = Path(name)
            rows = _rows_per_sec(directory, _count(ROWS, share))
            ring = _ring_bytes_per_sec(directory, _count(FRAMES, share))
            late = sorted(_wake_nanos(directory, _count(WAKES, share)))
    except OSError as error:
        raise RingSpaceError(f"rings cannot be made here: {error.strerror}: {rings}") from error
    p50, p99 = (late[int(len(late) * share)] / 1e3 for share in (0.5, 0.99))
    return Machine(rows, ring, p50, p99, _disk_bytes_per_sec(recordings, share))


def _count(full: int, share: float) -> int:
    return max(10, int(full * share))


def _per_sec(work: Callable[[], int]) -> float:
    """So many things a second: the median of several rounds, each returning its count."""
    rates = []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        done = work()
        rates.append(done / (time.perf_counter() - before))
    return statistics.median(rates)


def _rows_per_sec(directory: Path, count: int) -> float:
    from ringdaq.streams import StreamWriter

    with (
        StreamWriter.create(directory, SCALAR, capacity_bytes=16 * MIB) as writer,
        writer.appender() as appender,
    ):

        def work() -> int:
            append = appender.append
            for _ in range(count):
                append(1.5)
            return count

        return _per_sec(work)


def _ring_bytes_per_sec(directory: Path, count: int) -> float:
    import numpy as np

    from ringdaq.streams import StreamWriter

    shape = CAMERA.channels[0].shape
    image = np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape)
    with StreamWriter.create(directory, CAMERA, capacity_bytes=64 * MIB) as writer:

        def work() -> int:
            for number in range(count):
                writer.write_frame(number, image)
            return count * image.nbytes

        # Once around first, as memory is slow when it is touched for the first time.
        for number in range(8):
            writer.write_frame(number, image)
        return _per_sec(work)


def _wake_nanos(directory: Path, count: int) -> list[int]:
    from ringdaq.clock import now_nanos
    from ringdaq.streams import StreamWriter

    with StreamWriter.create(directory, SCALAR, capacity_bytes=MIB) as writer:
        command = [sys.executable, "-P", "-m", __name__, str(writer.path)]
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert reader.stdout is not None
            reader.stdout.readline()
            due = time.monotonic()
            for _ in range(count):
                due += PERIOD_SECS
                time.sleep(max(0.0, due - time.monotonic()))
                writer.append(now_nanos(), 1.5)
            writer.close()
            found: list[int] = json.loads(reader.stdout.readline())
            return found
        finally:
            reader.kill()
            reader.communicate()


def _disk_bytes_per_sec(directory: Path, share: float) -> float:
    chunk = os.urandom(MIB)
    chunks = _count(DISK_BYTES // MIB, share)
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".ringdaq-bench-") as file:
            before = time.perf_counter()
            for _ in range(chunks):
                file.write(chunk)
            file.flush()
            os.fdatasync(file.fileno())
            return chunks * MIB / (time.perf_counter() - before)
    except OSError as error:
        raise RecordingError(
            f"recordings cannot be written here: {error.strerror}: {directory}"
        ) from error


def _read(path: Path) -> None:
    from ringdaq.clock import now_nanos
    from ringdaq.streams import StreamReader

    with StreamReader.open(path) as reader:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        late = [now_nanos() - r.last_nanos for r in reader.follow("oldest", timeout=30.0)]
    sys.stdout.write(json.dumps(late) + "\n")


if __name__ == "__main__":
    _read(Path(sys.argv[1]))
