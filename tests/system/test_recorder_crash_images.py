"""A recorder's disk as a kill or a power cut may leave it, at every step of its writing.

Random kills hardly ever hit the inside of a flush; here each step that the recorder takes on its
disk is one test, and so is each sector of each write, and each write that a power cut may take.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections import Counter

import pytest
from crash_disk import SECTOR, FailingDisk, Image, NotingDisk
from crash_load import Load, check_file, check_journal, durable_rows
from soak_plan import report, seconds_for

from ringdaq.recorder import hdf5, ordered, recover

pytestmark = pytest.mark.slow

SEED = 11


class Checker:
    """Checks contents of a disk; what is the same as before is not checked again."""

    def __init__(self, load, directory, *, every=1):
        """Of the disks that a new recorder has to make right, it really does so with some."""
        self._load, self._directory, self._every = load, directory, every
        self._met = 0
        self.distinct = 0
        self._seen: set[bytes] = set()
        self.points: Counter[str] = Counter()

    def _is_new(self, what, files, promised):
        digest = hashlib.blake2b(what.encode() + repr(sorted(promised.items())).encode())
        for name in sorted(files):
            digest.update(name.encode() + files[name])
        known = digest.digest() in self._seen
        self._seen.add(digest.digest())
        self.distinct += not known
        return not known

    def _lay_out(self, files):
        shutil.rmtree(self._directory, ignore_errors=True)
        for name, data in files.items():
            path = self._directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def check(self, kind, image, kept, flushed):
        """What a kill leaves: the journal and the file are right without anybody's help."""
        self.points[kind] += 1
        files = image.content()
        journal = {name: data for name, data in files.items() if name.endswith(".journal")}
        if self._is_new("journal", journal, kept):
            self._lay_out(journal)
            check_journal(self._directory / "journals/r1", kept)
        visible = {name: data for name, data in files.items() if name == "r1.h5"}
        if visible and self._is_new("file", visible, flushed):
            self._lay_out(visible)
            check_file(self._directory / "r1.h5", flushed)

    def check_recovery(self, kind, image, kept):
        """What a power cut leaves: the next recorder makes it right."""
        self.points[kind] += 1
        files = image.content()
        sealed = "journals/r1/sealed.json" in files
        wanted = {
            name: data
            for name, data in files.items()
            if name.endswith(".journal") or (sealed and name == "r1.h5")
        }
        if not self._is_new(f"recovery {sealed}", wanted, kept):
            return
        self._lay_out(files)
        check_journal(self._directory / "journals/r1", kept)
        self._met += 1
        if sealed:
            check_file(self._directory / "r1.h5", kept, exact=True)
        elif self._met % self._every == 0:
            report = self._load.finish_again(self._directory)
            kept = self._load.produced
            assert {s: c["durable_rows"] for s, c in report["streams"].items()} == kept
            assert {c["gaps"] for c in report["streams"].values()} == {0}
            check_file(self._directory / "r1.h5", kept, exact=True)


def record(load, base):
    """Record on a noting disk; returns its steps, and what was kept and flushed by then."""
    disk, marks = NotingDisk(base), []
    load.run(disk, lambda r: marks.append((len(disk.steps), durable_rows(r))))
    return disk.steps, marks


def walk(steps, marks):
    """The disk before each step, with the step, what the journal promises, and what the file."""
    image, kept, flushed = Image(), {}, {}
    acknowledged = dict(marks)
    for count, step in enumerate(steps):
        if count in acknowledged:
            kept = flushed = acknowledged[count]
        yield image, step, kept, flushed
        image.apply(step)
    yield image, None, kept, flushed


def is_journal(image, step):
    name = next((n for n, file in image.names.items() if file == step[1]), "")
    return name.endswith(".journal")


def go_through(load, base, directory, *, every=1, only_kills=False):
    """Check every point of one recording; returns the checker."""
    steps, marks = record(load, base)
    checker = Checker(load, directory, every=every)
    for image, step, kept, flushed in walk(steps, marks):
        if not only_kills or step is None or not is_journal(image, step):
            checker.check("kill", image, kept, flushed)
        if only_kills:
            continue
        if step is not None and step[0] == "write":
            check_torn(checker, image, step, kept, flushed)
        if step is not None and step[0] == "sync":
            check_lost(checker, image, step[1], kept)
    assert image.content() == {
        str(path.relative_to(base)): path.read_bytes() for path in base.rglob("*") if path.is_file()
    }, "the recorder writes past its disk"
    return checker


def check_torn(checker, image, step, kept, flushed):
    """The sectors at which a write may be cut; recovery is tried where the journal is."""
    _, file, place, data = step
    cuts = range(SECTOR, len(data), SECTOR)
    for length in cuts if is_journal(image, step) else {*cuts[:1], *cuts[-1:]}:
        before = bytes(image.files[file]), list(image.unsynced[file])
        image.apply(step, only=length)
        if is_journal(image, step):
            checker.check("torn", image, kept, flushed)
            checker.check_recovery("torn, then recovered", image, kept)
        elif place >= len(before[0]):
            checker.check("torn", image, kept, flushed)
        else:
            checker.check_recovery("torn, then recovered", image, kept)
        image.files[file][:], image.unsynced[file][:] = before


def check_lost(checker, image, file, kept):
    """Each write that a power cut may take although later ones reached the medium."""
    for which in range(len(image.unsynced[file])):
        checker.check_recovery("lost", image.without_a_write(file, which), kept)
    checker.check_recovery("killed, then recovered", image, kept)


@pytest.fixture
def make_load(ring_directory, tmp_path):
    made = []

    def make(**options):
        base = ring_directory / f"disk{len(made)}"
        base.mkdir()
        made.append(Load(ring_directory, base, **options))
        return made[-1]

    yield make
    for load in made:
        load.close()


@pytest.fixture
def small_chunks(monkeypatch):
    """Chunks of eight rows, so that trees of chunks grow and split within a test."""
    for name in ("CHUNK_BYTES", "PACKED_CHUNK_BYTES", "TABLE_CHUNK_BYTES"):
        monkeypatch.setattr(hdf5, name, 64)
    monkeypatch.setattr(ordered, "CHUNK_BYTES", 64)
    monkeypatch.setattr(ordered, "PAGE_BYTES", 16)
    monkeypatch.setattr(hdf5, "BLOCK_CHUNK_BYTES", 512)


@pytest.mark.timeout(600)
def test_every_step_of_a_recording_may_be_its_last(make_load, ring_directory, small_chunks):
    load = make_load(seed=SEED, rows=6, steps=24)
    checker = go_through(load, load.base, ring_directory / "image", every=8)
    print(dict(checker.points), checker.distinct)
    assert checker.points["kill"] > 1000
    assert sum(checker.points.values()) > 5400
    assert checker.distinct > 2000


@pytest.mark.parametrize("storage", [{}, {"compression": "gzip"}])
def test_every_step_may_be_the_last_while_trees_grow_and_split(
    make_load, ring_directory, small_chunks, storage
):
    load = make_load(seed=SEED, rows=220, steps=7, storage=storage)
    checker = go_through(load, load.base, ring_directory / "image", only_kills=True)
    print(dict(checker.points), checker.distinct)
    assert max(load.produced.values()) > 64 * 8
    assert checker.distinct > 300


FAULTS = ("ENOSPC", "EIO", "fsync")
TIMES = (1, 2, 25)


def faulty(load, kind, first, times):
    """Record on a disk that fails some steps; what is visible is right, and nothing is lost."""
    disk = FailingDisk(kind, first, times)

    def look(recording):
        report = recording.report()
        for stream, counts in report["streams"].items():
            assert counts["produced_rows"] >= counts["durable_rows"] + counts["gap_rows"], stream
        if first <= disk.count <= first + times and load.file.exists():
            check_file(load.file, {})

    recording = load.run(disk, look)
    for stream, counts in recording.report()["streams"].items():
        assert counts["produced_rows"] == counts["durable_rows"] == load.produced[stream], stream
    check_file(load.file, load.produced, exact=True)
    check_journal(load.journal, load.produced)
    report = recover(load.journal, output=load.base / "again.h5")
    assert {name: c["durable_rows"] for name, c in report.streams.items()} == load.produced
    return disk.count


def steps_of(make_load, kind, **options):
    return faulty(make_load(**options), kind, 0, 0)


@pytest.mark.parametrize("kind", FAULTS)
def test_any_step_of_the_disk_may_fail_once_or_for_a_while(make_load, kind):
    options = {"seed": SEED, "steps": 6, "rows": 4}
    count = steps_of(make_load, kind, **options)
    assert count > 15
    stride = max(1, count // 25)
    for number, first in enumerate(range(0, count, stride)):
        load = make_load(**options)
        faulty(load, kind, first, TIMES[number % len(TIMES)])
        load.close()
        shutil.rmtree(load.base)


SOAK_POINTS = int(os.environ.get("RINGDAQ_SOAK_POINTS", "100000"))


@pytest.mark.soak
def test_many_recordings_may_end_or_fail_at_any_step(make_load, ring_directory):
    """A hundred thousand points that differ, and every step of every fault."""
    seed, points, distinct = SEED, Counter(), 0
    until = time.monotonic() + seconds_for("crash images")
    while distinct < SOAK_POINTS and time.monotonic() < until:
        seed += 1
        load = make_load(seed=seed)
        checker = go_through(load, load.base, ring_directory / "image", every=20)
        points, distinct = points + checker.points, distinct + checker.distinct
        load.close()
        print(f"seed {seed}: {distinct} points", dict(points), flush=True)
    report("recorder: points of a crash that differ", distinct)
    for kind in FAULTS:
        options = {"seed": seed, "steps": 6, "rows": 4}
        for first in range(steps_of(make_load, kind, **options)):
            load = make_load(**options)
            faulty(load, kind, first, TIMES[first % len(TIMES)])
            load.close()
            shutil.rmtree(load.base)
