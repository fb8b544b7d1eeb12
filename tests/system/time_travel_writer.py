"""A process that writes three streams in real time, whose every value follows from its row.

Arguments: the ring directory, for how many seconds, and how many seconds the rings hold. It prints
where the rings are, and at the end what it has written.
"""

import json
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

BEGIN_NANOS = 1_700_000_000_000_000_000
CHANNELS = 32
SAMPLE_RATE = 4000
ROW_RATE = 10_000
FRAME_RATE = 30
SIDE = 512
TICK_SECS = 0.01

EEG = StreamSpec(
    "eeg",
    "samples",
    tuple(Channel(f"c{i}", "float32", "uV") for i in range(CHANNELS)),
    Fraction(SAMPLE_RATE),
)
ROWS = StreamSpec("rows", "rows", (Channel("n", "int64"), Channel("x", "float64")))
CAMERA = StreamSpec(
    "camera", "frames", (Channel("image", "uint16", shape=(SIDE, SIDE)), Channel("n", "int64"))
)
BYTES_A_SECOND = {
    "eeg": SAMPLE_RATE * CHANNELS * 4 + 100 * 512,
    "rows": ROW_RATE * 24 + 100 * 512,
    "camera": FRAME_RATE * (SIDE * SIDE * 2 + 1024),
}


def samples(first: int, rows: int) -> np.ndarray:
    """The EEG from a row on; every value is a whole number that float32 holds."""
    numbers = np.arange(first * CHANNELS, (first + rows) * CHANNELS, dtype=np.uint64)
    mixed = (numbers * np.uint64(2_654_435_761)) & np.uint64(0xFF_FFFF)
    return mixed.astype(np.float32).reshape(rows, CHANNELS)


def numbers(first: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The two columns of the scalar rows from a row on."""
    n = np.arange(first, first + rows, dtype=np.int64)
    return n, np.sqrt(n)


PATTERN = (np.arange(SIDE * SIDE, dtype=np.uint32) * 40_503 >> 7).astype(np.uint16)
PATTERN.shape = (SIDE, SIDE)


class Producer:
    """Keeps up with a clock: what is due is written, each stream at its own rate."""

    def __init__(self, directory: Path, ring_secs: float) -> None:
        specs = (EEG, ROWS, CAMERA)
        self.writers = {
            spec.name: StreamWriter.create(
                directory, spec, capacity_bytes=int(BYTES_A_SECOND[spec.name] * ring_secs)
            )
            for spec in specs
        }
        self._append = self.writers["rows"].appender(rows=100, deadline_secs=0.02).append
        self._done = {spec.name: 0 for spec in specs}

    def produce(self, elapsed_secs: float) -> None:
        """Write what is due after so many seconds."""
        for name, rate, write in (
            ("eeg", SAMPLE_RATE, self._write_samples),
            ("rows", ROW_RATE, self._write_rows),
            ("camera", FRAME_RATE, self._write_frames),
        ):
            due = int(elapsed_secs * rate) - self._done[name]
            if due > 0:
                write(self._done[name], due)
                self._done[name] += due

    def _write_samples(self, first: int, rows: int) -> None:
        nanos = BEGIN_NANOS + first * 1_000_000_000 // SAMPLE_RATE
        self.writers["eeg"].write_block(nanos, samples(first, rows))

    def _write_rows(self, first: int, rows: int) -> None:
        n, x = numbers(first, rows)
        for pair in zip(n.tolist(), x.tolist(), strict=True):
            self._append(*pair)

    def _write_frames(self, first: int, rows: int) -> None:
        for n in range(first, first + rows):
            with self.writers["camera"].loan() as loan:
                np.add(PATTERN, np.uint16(n & 0xFFFF), out=loan.array)
                loan.commit(BEGIN_NANOS + n * 1_000_000_000 // FRAME_RATE, n)

    def finish(self) -> dict[str, dict[str, int]]:
        """Close the rings; what was written."""
        written = {}
        for name, writer in self.writers.items():
            found = writer.statistics()
            assert found.rows == self._done[name]
            written[name] = {"records": found.records, "rows": found.rows}
            writer.close()
        return written


def main() -> None:
    directory, seconds, ring_secs = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    producer = Producer(directory, ring_secs)
    print(json.dumps({n: str(w.path) for n, w in producer.writers.items()}), flush=True)
    begun = time.monotonic()
    while (elapsed := time.monotonic() - begun) < seconds:
        producer.produce(elapsed)
        time.sleep(TICK_SECS)
    print(json.dumps(producer.finish()), flush=True)


if __name__ == "__main__":
    main()
