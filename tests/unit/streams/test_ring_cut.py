"""A ring whose file was cut is damage in words, and not the end of whoever looks at it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringdaq.streams import StreamReader

PRELUDE = """
import asyncio, json, os, sys, threading
from pathlib import Path
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter

directory, writers = Path(sys.argv[1]), []

def opened():
    spec = StreamSpec("scalar", "rows", (Channel("x", "int64"),))
    writers.append(StreamWriter.create(directory, spec, capacity_bytes=4096))
    writers[-1].append(0, 5)
    return StreamReader.open(writers[-1].path)

def tell(name, look):
    try:
        said = repr(look())
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps([name, said]), flush=True)
"""

LOOKS = """
async def first_of(records):
    async for record in records:
        return record

LOOKS = {
    "next_sequence": lambda reader: reader.next_sequence,
    "latest": lambda reader: reader.latest(),
    "view": lambda reader: reader.view(),
    "view of a record": lambda reader: reader.view(0),
    "snapshot": lambda reader: reader.snapshot(),
    "window": lambda reader: reader.window(1),
    "wait": lambda reader: reader.wait(0, 0),
    "wait for more": lambda reader: reader.wait(1, 5),
    "follow the newest": lambda reader: next(reader.follow("newest", timeout=5)),
    "follow the oldest": lambda reader: next(reader.follow("oldest", timeout=5)),
    "follow one": lambda reader: next(reader.follow(1, timeout=5)),
    "follow in a loop": lambda reader: asyncio.run(first_of(reader.follow(1, timeout=5))),
    "watch": lambda reader: reader.watch().arm(1),
    "writer_alive": lambda reader: reader.writer_alive,
    "read": lambda reader: reader.read(0),
    "find": lambda reader: reader.find(0),
    "statistics": lambda reader: reader.statistics(),
}
for name, look in LOOKS.items():
    reader = opened()
    os.truncate(reader.path, 0)
    tell(name, lambda: look(reader))
"""

SLEEPS = """
def asleep(reader, name):
    "Whether the thread that is to sleep for the ring does so."
    bell = reader.path.with_suffix(".wake").read_bytes()[0]
    for task in Path("/proc/self/task").iterdir():
        found, state = (task / "stat").read_text().partition("(")[2].rsplit(") ", 1)
        if name in (task.name, found):
            return bell & 1 and state[0] == "S"
    return False

def cut_under_a_sleeper(reader, name):
    while not asleep(reader, name):
        pass
    os.truncate(reader.path, 0)

async def next_of(records):
    return await anext(records)

main = str(os.getpid())
SLEEPS = {
    "wait": (main, lambda reader: reader.wait(1, 60)),
    "follow": (main, lambda reader: next(reader.follow(1, timeout=60))),
    "follow in a loop": ("ring-watch", lambda reader: asyncio.run(
        next_of(reader.follow(1, timeout=60)))),
}
for name, (sleeper, look) in SLEEPS.items():
    reader = opened()
    threading.Thread(target=cut_under_a_sleeper, args=(reader, sleeper)).start()
    tell(name, lambda: look(reader))
"""


def told_by(script: str, directory: Path) -> dict[str, str]:
    """What each look found, in a process that may die of it."""
    command = [sys.executable, "-c", PRELUDE + script, str(directory)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    told = dict(json.loads(line) for line in done.stdout.splitlines())
    assert done.returncode == 0, f"the last that lived: {list(told)[-1:]}"
    return told


@pytest.mark.parametrize("script", [LOOKS, SLEEPS], ids=["before-a-look", "under-a-sleeper"])
def test_a_cut_is_found_before_it_is_touched(tmp_path, script):
    told = told_by(script, tmp_path)
    harmless = {"watch": "True"}  # there is something to find out
    assert len(told) >= 3
    for look, said in told.items():
        if look in harmless:
            assert said == harmless[look]
        else:
            assert said.startswith("CorruptRecordError"), (look, said)
            assert "it was cut to 0" in said, (look, said)


def test_who_looks_again_and_again_finds_a_cut_too(tmp_path):
    script = """
reader = opened()
before = reader.next_sequence
os.truncate(reader.path, 127)  # not the whole header, and all that is looked at

def spin():
    while reader.next_sequence == before:
        pass

tell("spinning", spin)
"""
    assert "it was cut to" in told_by(script, tmp_path)["spinning"]


def test_who_looked_a_tick_ago_finds_a_cut_before_it_is_touched(tmp_path):
    script = """
import time
coarse = lambda: time.clock_gettime_ns(6)  # CLOCK_MONOTONIC_COARSE
for name, look in {
    "view": lambda reader: reader.view(),
    "next_sequence": lambda reader: reader.next_sequence,
}.items():
    reader = opened()
    look(reader)
    os.truncate(reader.path, 0)
    tick = coarse()
    while coarse() == tick:
        pass
    tell(name, lambda: look(reader))
"""
    told = told_by(script, tmp_path)
    assert list(told) == ["view", "next_sequence"]
    assert all("it was cut to 0" in said for said in told.values()), told


def test_a_whole_ring_is_seen_as_before(make_writer, scalar_spec):
    writer = make_writer(scalar_spec)
    reader = StreamReader.open(writer.path)
    for number in range(1000):
        assert reader.next_sequence == number
        writer.append(number, number)
    assert reader.writer_alive
    with reader.view() as newest:
        assert newest.sequence == 999
