"""A run on a disk of 64 MB that fills and is freed; prints what came of it as JSON.

`python small_disk.py DIRECTORY RINGS mount` puts a tmpfs there first, which needs a mount namespace
of its own; with `quota` the recorder itself is told that its disk ends there.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from recorder_stand import Stand, Writer, wait_until

SIZE = 64 << 20
STREAM = "fast"

# A recorder whose disk is as full as the files below a directory are large.
QUOTA = """
import errno, os, sys
from pathlib import Path
from ringdaq.recorder import __main__ as recorder
from ringdaq.recorder.disk import Disk
data, size = Path(sys.argv.pop(1)), int(sys.argv.pop(1))

def free(self=None, path=None):
    used = 0
    for file in data.rglob("*"):
        try:
            used += file.stat().st_blocks * 512 if file.is_file() else 0
        except FileNotFoundError:
            pass
    return max(0, size - used)

def guarded(call):
    def guard(self, fd, data, *place):
        if (sum(map(len, data)) if isinstance(data, list) else len(data)) > free():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(self, fd, data, *place)
    return guard

Disk.free_bytes = free
Disk.write, Disk.write_at = guarded(Disk.write), guarded(Disk.write_at)
sys.exit(recorder.main())
"""


def main(directory: Path, rings: Path, how: str) -> dict:
    stand = Stand(directory)
    if how == "mount":
        command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(stand.data)]
        subprocess.run(command, check=True)
    writer = Writer(rings, rate=8_000, total=80_000, capacity_bytes=2 << 20)
    try:
        if how == "quota":
            stand.recorder_command = [sys.executable, "-c", QUOTA, str(stand.data), str(SIZE)]
        stand.start_recorder()
        return play(stand, writer)
    finally:
        writer.kill()
        stand.close()


def counts(stand):
    return stand.reports.get("run", {}).get("streams", {}).get(STREAM, {"durable_rows": 0})


def play(stand, writer):
    file = stand.open("run", [writer.reader])
    writer.go()
    wait_until(lambda: counts(stand)["durable_rows"] > 4_000, "the first rows")
    ballast = fill(stand.data)
    full = time.monotonic()
    error = wait_until(lambda: stand.reports["run"]["error"], "the alarm")
    alarm_secs = time.monotonic() - full
    durable = counts(stand)["durable_rows"]
    lapped = durable + 20_000
    wait_until(lambda: counts(stand)["produced_rows"] > lapped, "the ring to be lapped")
    meanwhile = counts(stand)["durable_rows"]
    ballast.unlink()
    wait_until(lambda: counts(stand)["durable_rows"] > meanwhile, "rows to be kept again")
    cleared = wait_until(lambda: not stand.reports["run"]["error"], "the end of the alarm")
    writer.wait()
    stand.end("run", [writer.reader])
    report = stand.wait_sealed("run")
    return {
        "error": error,
        "alarm_secs": alarm_secs,
        "grew_while_full": meanwhile - durable,
        "cleared": cleared,
        "report": report,
        "total": writer.total,
        **read(file),
    }


def fill(data):
    """Take all space that is left."""
    path = data / "ballast"
    used = sum(f.stat().st_blocks * 512 for f in data.rglob("*") if f.is_file())
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        os.posix_fallocate(file.fileno(), 0, SIZE - used - (4 << 20))
        while file.write(bytes(1 << 16)) and path.stat().st_size < SIZE:
            pass
    return path


def read(file):
    import h5py

    from ringdaq.recorder import describe_file

    with h5py.File(file) as opened:
        group = opened["entry"][STREAM]
        n, value = group["n"][:].tolist(), group["value"][:].tolist()
    return {"n": n, "value": value, "gaps": describe_file(file)["gaps"]}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])))
