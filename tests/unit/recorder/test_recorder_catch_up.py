"""A file that is behind its journal reads what is durable there, and not what is being written."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from ringdaq.recorder import describe_file
from ringdaq.recorder.disk import Disk
from ringdaq.recorder.readback import RecordedFile
from ringdaq.recorder.scan import JournalReader

# More than is written in one piece, so that writing and syncing are two steps.
ROWS = 10_000


class WatchedDisk(Disk):
    """Lets somebody look while a batch is written and not yet synced; may fail then."""

    look = None
    fails = False

    def sync(self, fd):
        if self.look is not None:
            look, self.look = self.look, None
            look()
            if self.fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(fd)


def produce(bench):
    for writer in bench.writers.values():
        times = np.arange(bench.made, bench.made + ROWS)
        (channel,) = writer.spec.channels
        writer.write_rows(times, {channel.name: times * 1.0})
    bench.made += ROWS


@pytest.mark.parametrize("fails", [False, True])
def test_a_batch_that_is_not_durable_yet_is_not_read(bench, monkeypatch, fails):
    bench.open("meter", "stage", capacity_bytes=8 << 20)
    disk = WatchedDisk()
    recording = bench.record(disk=disk)
    recording.step()
    monkeypatch.setattr(recording.file, "feed", lambda *_: None)  # so it is behind
    journal, file = recording._journal, recording.file
    produce(bench)
    recording._keep()
    produce(bench)
    disk.look, disk.fails = lambda: file.step(journal.next_entry), fails
    recording._keep()
    assert disk.look is None
    assert bool(recording.error) == fails
    file._live.flush()
    assert [one["rows"] for one in describe_file(bench.file)["streams"].values()] == [ROWS, ROWS]
    produce(bench)
    recording._retry_at = 0.0
    recording.step()
    file._live.flush()
    found = describe_file(bench.file)
    assert (found["rows"], found["lost_rows"], found["gaps"]) == (6 * ROWS, 0, [])
    assert bench.end(recording)["state"] == "sealed"
    with RecordedFile(bench.file) as sealed:
        np.testing.assert_array_equal(sealed.streams["meter"].times(), np.arange(3 * ROWS))


def test_what_is_half_written_behind_the_durable_part_is_not_looked_at(bench):
    bench.open("meter")
    recording = bench.record()
    for _ in range(6):
        bench.produce()
        recording.step()
    recording.close()
    (path,) = bench.journal.glob("*.journal")
    written = list(JournalReader(bench.journal).entries())
    content = bytearray(path.read_bytes())
    durable, torn = written[4].number, written[5]
    content[torn.offset : torn.end] = bytes(torn.end - torn.offset)
    path.write_bytes(content)
    reader = JournalReader(bench.journal)
    numbers = [entry.number for entry in reader.entries(0, durable + 1)]
    assert numbers == list(range(durable + 1))
