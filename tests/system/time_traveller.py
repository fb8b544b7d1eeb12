"""A reader that maps the last minute again and again, and another that is slow and counts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from time_travel_writer import PATTERN, numbers, samples

from ringdaq.errors import EndOfStreamError, NotYetWrittenError, OverrunError
from ringdaq.streams import Record, StreamReader

WINDOW_SECS = 60
PATIENCE_SECS = 60


def check_samples(record: Record) -> bool:
    """Whether a block is the generator's."""
    return np.array_equal(record.columns()["samples"], samples(record.first_row, record.rows))


def check_rows(record: Record) -> bool:
    """Whether scalar rows are the generator's, at times that ascend."""
    columns, (n, x) = record.columns(), numbers(record.first_row, record.rows)
    same = np.array_equal(columns["n"], n) and np.array_equal(columns["x"], x)
    return same and bool((np.diff(columns["time"]) >= 0).all())


def check_frame(record: Record) -> bool:
    """Whether an image is the generator's, every pixel."""
    columns, n = record.columns(), record.first_row
    wanted = PATTERN + np.uint16(n & 0xFFFF)
    return columns["n"].tolist() == [n] and np.array_equal(columns["image"][0], wanted)


CHECKS: dict[str, Callable[[Record], bool]] = {
    "eeg": check_samples,
    "rows": check_rows,
    "camera": check_frame,
}


@dataclass
class Counts:
    """What was found in one stream."""

    windows: int = 0
    window_rows: int = 0
    """Rows that were compared in windows, each as often as it was looked at."""
    lapped: int = 0
    """Windows whose oldest records went while they were looked at."""
    torn: int = 0
    """Records that differ from the generator's, and were said to be whole."""
    records: int = 0
    rows: int = 0
    """Read one after the other, by the slow one."""
    lost_records: int = 0
    lost_rows: int = 0
    """Told to the slow one."""
    overruns: int = 0


class Traveller:
    """Both readers of one stream."""

    def __init__(self, name: str, path: Path, chance: Random) -> None:
        self.reader = StreamReader.open(path)
        # It knows its place, and so what it lost, however long ago that was; the one that looks
        # everywhere would have forgotten.
        self._slow = StreamReader.open(path)
        self.counts = Counts()
        self._check = CHECKS[name]
        self._chance = chance
        self._next = 0
        self._row = 0

    def look(self) -> None:
        """Map the last minute, or what there is of it, and compare every value where it lies."""
        verdicts: dict[int, bool] = {}
        whole_from = 0
        try:
            with self.reader.view(window_secs=WINDOW_SECS) as window:
                self._compare(window, verdicts)
        except OverrunError as lapped:
            # The window's oldest records are gone; what was seen from there on was whole.
            whole_from = lapped.resume_at
            self.counts.lapped += 1
        self.counts.windows += 1
        for sequence, same in verdicts.items():
            self.counts.torn += sequence >= whole_from and not same

    def _compare(self, window, verdicts: dict[int, bool]) -> None:
        # From the newest back: who is lapped has seen the most that way.
        for index in range(len(window) - 1, -1, -1):
            record = window[index]
            verdicts[record.sequence] = self._check(record)
            self.counts.window_rows += record.rows

    def follow(self) -> None:
        """Read some records once the writer has come by, and so fall behind again."""
        statistics = self.reader.statistics()
        if statistics.oldest_sequence <= self._next:
            return
        for _ in range(self._chance.randrange(statistics.next_sequence - self._next)):
            if not self._read_one():
                return

    def _read_one(self) -> bool:
        counts = self.counts
        try:
            record = self._slow.read(self._next)
        except OverrunError as error:
            self._take_loss(error)
            return True
        except (NotYetWrittenError, EndOfStreamError):
            return False
        assert record.first_row == self._row
        counts.torn += not self._check(record)
        counts.records += 1
        counts.rows += record.rows
        self._next, self._row = self._next + 1, self._row + record.rows
        return True

    def _take_loss(self, error: OverrunError) -> None:
        assert error.resume_at == self._next + error.lost_records
        assert error.lost_rows >= error.lost_records
        self.counts.lost_records += error.lost_records
        self.counts.lost_rows += error.lost_rows
        self.counts.overruns += 1
        self._next, self._row = error.resume_at, self._row + error.lost_rows

    def drain(self) -> None:
        """Read what is left after the end."""
        while self._read_one():
            pass
        assert self._slow.statistics().closed

    def close(self) -> None:
        """Let go of the ring."""
        self.reader.close()
        self._slow.close()
