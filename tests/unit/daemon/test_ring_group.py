"""Rings that a group may read: modes, refusals, and what an ordinary member can and cannot do."""

import grp
import os
import pwd
import subprocess
import sys
import textwrap

import pytest

from ringdaq.daemon.state import ring_directory
from ringdaq.errors import ConfigError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

SPEC = StreamSpec("a", "rows", (Channel("x", "int64"),))
OURS = grp.getgrgid(os.getegid()).gr_name
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")


def mode(path):
    return path.stat().st_mode & 0o7777


@pytest.fixture
def umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def test_a_group_reads_what_it_is_given(ring_directory_for, umask):
    rings = ring_directory_for(OURS)
    with StreamWriter.create(rings, SPEC, capacity_bytes=4096) as writer:
        assert mode(rings) == 0o2750
        for path in (writer.path, writer.path.with_suffix(".wake")):
            assert mode(path) == 0o640
            assert path.stat().st_gid == os.getegid()


def test_without_a_group_nobody_else_reads(ring_directory_for):
    rings = ring_directory_for(None)
    with StreamWriter.create(rings, SPEC, capacity_bytes=4096) as writer:
        assert mode(rings) == 0o700
        assert mode(writer.path) == mode(writer.path.with_suffix(".wake")) == 0o600


def test_a_group_is_taken_away_again(ring_directory_for):
    rings = ring_directory_for(OURS)
    assert mode(ring_directory(rings, None)) & 0o777 == 0o700


def test_an_unknown_group_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"ring_group.*'no-such-group'"):
        ring_directory(tmp_path / "rings", "no-such-group")
    assert not (tmp_path / "rings").exists()


def test_a_group_of_others_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    monkeypatch.setattr(os, "getgroups", list)
    monkeypatch.setattr(os, "getegid", lambda: 4321)
    with pytest.raises(ConfigError, match=rf"no member of '{OURS}'.*usermod -aG {OURS}"):
        ring_directory(tmp_path / "rings", OURS)
    assert not (tmp_path / "rings").exists()


@pytest.fixture
def ring_directory_for(ring_directory):
    from ringdaq.daemon.state import ring_directory as make

    ring_directory.parent.joinpath(ring_directory.name).chmod(0o711)
    return lambda group: make(ring_directory / "rings", group)


MEMBER = """
import os, sys
from pathlib import Path
ring, uid, gid = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
import asyncio
from ringdaq.streams import StreamReader, attach
os.setgroups([])
os.setgid(gid)
os.setuid(uid)
"""


def member(script, path, gid):
    """Starts a program as a user whose only group is the given one."""
    uid = pwd.getpwnam("nobody").pw_uid
    source = MEMBER + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", source, str(path), str(uid), str(gid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


GROUP = pwd.getpwnam("nobody").pw_gid


@pytest.fixture
def shared(ring_directory_for):
    rings = ring_directory_for(grp.getgrgid(GROUP).gr_name)
    with StreamWriter.create(rings, SPEC, capacity_bytes=4096) as writer:
        yield writer


@as_root
def test_a_member_reads_and_sleeps(shared):
    script = """
        with StreamReader.open(ring) as reader:
            print("ready", flush=True)
            for record in reader.follow("oldest", timeout=60):
                print(record.columns()["x"][0], flush=True)
        """
    with member(script, shared.path, GROUP) as process:
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            for number in range(20):
                shared.append(number, number)
                assert process.stdout.readline() == f"{number}\n"
            shared.close()
            assert process.wait(60) == 0, process.stderr.read()
        finally:
            process.kill()


@as_root
def test_a_member_sleeps_in_a_coroutine_too(shared):
    script = """
        async def follow():
            async for record in attach("a", directory=ring.parent).follow("oldest", timeout=60):
                print(record.columns()["x"][0], flush=True)
        print("ready", flush=True)
        asyncio.run(follow())
        """
    with member(script, shared.path, GROUP) as process:
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            for number in range(20):
                shared.append(number, number)
                assert process.stdout.readline() == f"{number}\n"
            shared.close()
            assert process.wait(60) == 0, process.stderr.read()
        finally:
            process.kill()


ATTEMPTS = """
wake = ring.with_suffix(".wake")
def refused(act, *arguments):
    try:
        act(*arguments)
    except PermissionError:
        return True
    return False
print([
    refused(open, ring, "r+b"), refused(open, wake, "r+b"),
    refused(os.truncate, ring, 0), refused(os.truncate, wake, 0),
    refused(os.unlink, ring), refused(os.unlink, wake), refused(os.rename, ring, wake),
    refused(open, ring.with_name("mine.00000001.ring"), "wb"),
])
"""


@as_root
def test_a_member_disturbs_nobody(shared):
    with member(ATTEMPTS, shared.path, GROUP) as process:
        out, err = process.communicate(timeout=60)
    assert out == f"{[True] * 8}\n", err
    assert shared.append(1, 1) == 0


@as_root
def test_a_stranger_reads_nothing(shared):
    with member(
        """
        try:
            StreamReader.open(ring)
        except Exception as error:
            print(error)
        """,
        shared.path,
        GROUP + 1,
    ) as process:
        out, err = process.communicate(timeout=60)
    assert "Permission denied" in out, err


def test_the_owner_still_sleeps_by_the_bell(ring_directory_for):
    rings = ring_directory_for(OURS)
    with StreamWriter.create(rings, SPEC, capacity_bytes=4096) as writer:
        following = StreamReader.open(writer.path).follow("oldest", timeout=30)
        for number in range(3):
            writer.append(number, number)
            assert next(following).columns()["x"][0] == number
