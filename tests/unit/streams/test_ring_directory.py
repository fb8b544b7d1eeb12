"""Generations, their names, their place, and who may touch them."""

import os
from pathlib import Path

import pytest

from ringdaq.errors import (
    DaemonUnreachableError,
    EndOfStreamError,
    RingSpaceError,
    StreamError,
    UnknownStreamError,
)
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import RingDirectory, StreamReader, StreamWriter, attach, directory


def spec(name):
    return StreamSpec(name, "rows", (Channel("x", "int64"),))


def create(directory, name, capacity_bytes=4096):
    return StreamWriter.create(directory, spec(name), capacity_bytes=capacity_bytes)


def remove_all_dead(rings):
    for path in rings.all_dead():
        rings.remove(path)


def test_generations_count_up(tmp_path):
    rings = RingDirectory(tmp_path / "deep" / "rings")
    assert rings.streams() == []
    names = ["a", "a.b", "a.00000001", "b-c"]
    writers = [create(rings.path, name) for name in names for _ in range(3)]
    assert rings.streams() == sorted(names)
    for name in names:
        found = rings.generations(name)
        assert [path.name for path in found] == [f"{name}.{i:08d}.ring" for i in (1, 2, 3)]
        assert rings.newest(name) == found[-1]
    assert len({writer.generation for writer in writers}) == len(writers)
    assert rings.path.stat().st_mode & 0o777 == 0o700


def test_an_unknown_stream_names_the_nearest(tmp_path):
    create(tmp_path, "camera")
    with pytest.raises(UnknownStreamError, match="did you mean 'camera'"):
        RingDirectory(tmp_path).newest("camer")
    with pytest.raises(UnknownStreamError, match="there are: camera"):
        RingDirectory(tmp_path).newest("xyz")
    with pytest.raises(UnknownStreamError, match="none at all"):
        RingDirectory(tmp_path / "missing").newest("xyz")


def test_only_dead_rings_are_removed(tmp_path):
    rings = RingDirectory(tmp_path)
    alive = create(tmp_path, "a")
    dead = [create(tmp_path, "b") for _ in range(3)]
    for writer in dead:
        writer.close()
    assert rings.dead("a") == []
    assert rings.all_dead() == rings.dead("b") == [ring.path for ring in dead]
    rings.remove(dead[0].path)
    assert rings.generations("b") == [dead[1].path, dead[2].path]
    remove_all_dead(rings)
    assert sorted(os.listdir(tmp_path)) == ["a.00000001.ring", "a.00000001.wake"]
    assert alive.append(0, 0) == 0


def test_damaged_and_unfinished_rings_are_removed(tmp_path):
    create(tmp_path, "a").close()
    path = RingDirectory(tmp_path).newest("a")
    path.write_bytes(b"nonsense")
    unfinished = tmp_path / ".a.00000002.ring.123"
    unfinished.write_bytes(b"half")
    assert RingDirectory(tmp_path).next_path("a").name == "a.00000003.ring"
    assert set(RingDirectory(tmp_path).all_dead()) == {path, unfinished}
    remove_all_dead(RingDirectory(tmp_path))
    assert os.listdir(tmp_path) == []


def test_a_removed_ring_stays_readable_for_who_has_it(tmp_path):
    writer = create(tmp_path, "a")
    writer.append(1, 42)
    reader = StreamReader.open(writer.path)
    writer.close()
    remove_all_dead(RingDirectory(tmp_path))
    assert reader.read(0).columns()["x"][0] == 42
    with pytest.raises(EndOfStreamError):
        reader.read(1)


def test_a_ring_that_does_not_fit_is_refused_with_numbers(tmp_path):
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    with pytest.raises(RingSpaceError, match=r"\d+ bytes.*ring_directory"):
        create(tmp_path, "a", 1 << 60)
    assert os.listdir(tmp_path) == []
    with pytest.raises(RingSpaceError, match=r"need \d+ bytes; \d+ are free"):
        RingDirectory(tmp_path).check_space(2 * free + (1 << 40))
    RingDirectory(tmp_path).check_space(1)


def test_rings_in_memory_must_fit_into_what_is_available(ring_directory, monkeypatch):
    monkeypatch.setattr(directory, "_available_bytes", lambda: 5)
    monkeypatch.setattr(directory, "_in_memory", lambda path: False)
    assert RingDirectory(ring_directory).free_bytes() > 5
    monkeypatch.setattr(directory, "_in_memory", lambda path: True)
    assert RingDirectory(ring_directory).free_bytes() == 5


def test_memory_is_told_from_a_disk():
    mounts = Path("/proc/mounts").read_text().splitlines()
    systems = {line.split()[1]: line.split()[2] for line in mounts}
    told = {place: directory._in_memory(Path(place)) for place in ("/proc", "/dev/shm")}
    assert told == {place: systems.get(place) == "tmpfs" for place in told}
    assert 0 < directory._available_bytes() < 1 << 50


@pytest.mark.parametrize("capacity", [0, -1, 10, 1 << 64])
def test_a_senseless_capacity_is_refused(tmp_path, capacity):
    with pytest.raises(StreamError):
        create(tmp_path, "a", capacity)
    assert os.listdir(tmp_path) == []


def test_a_planted_link_is_never_followed(tmp_path):
    rings = tmp_path / "rings"
    rings.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    (rings / "a.00000001.ring").symlink_to(victim)
    (rings / "a.00000002.wake").symlink_to(victim)
    writer = create(rings, "a")
    assert writer.path.name == "a.00000003.ring"
    assert victim.read_bytes() == b"mine"


def test_a_linked_directory_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(StreamError, match="not a link"):
        create(tmp_path / "link", "a")


def test_a_name_that_is_no_file_name_is_refused(tmp_path):
    for name in ("", "../a", ".a", "a/b"):
        with pytest.raises(StreamError, match="name"):
            RingDirectory(tmp_path).next_path(name)


def test_attach_reads_the_newest_generation(tmp_path):
    old = create(tmp_path, "a")
    old.append(1, 1)
    with attach("a", directory=tmp_path) as stream:
        assert stream.latest().columns()["x"][0] == 1
        new = create(tmp_path, "a")
        new.append(2, 2)
        assert stream.latest().columns()["x"][0] == 1
        old.close()
        assert stream.latest().columns()["x"][0] == 2
        assert stream.path == new.path
        with stream.view() as record:
            assert record.generation == new.generation
        assert stream.statistics().records == 1
        assert stream.reader.window(1).to_numpy()["x"].tolist() == [2]


def test_following_goes_on_into_the_next_generation(tmp_path):
    writers = [create(tmp_path, "a")]
    stream = attach("a", directory=tmp_path)
    follower = stream.follow(timeout=30)
    for number in range(3):
        writers[-1].append(number, number)
        record = next(follower)
        assert (record.columns()["x"][0], record.generation) == (number, writers[-1].generation)
        writers.append(create(tmp_path, "a"))
        writers[-2].close()
    writers[-1].close()
    assert list(follower) == []


def test_attach_without_a_daemon_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("RINGDAQ_STATE", str(tmp_path))
    with pytest.raises(DaemonUnreachableError, match="ringdaq daemon"):
        attach("a")
    (tmp_path / "daemon.json").write_text('{"ring_directory": "%s"}' % (tmp_path / "rings"))
    create(tmp_path / "rings", "a").append(1, 7)
    assert attach("a").latest().columns()["x"][0] == 7
    (tmp_path / "daemon.json").write_text("nonsense")
    with pytest.raises(DaemonUnreachableError, match="damaged"):
        attach("a")
