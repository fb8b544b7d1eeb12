"""Runs the probes as somebody, behind some of the walls, beside things worth reaching.

`python escape_stand.py USER WALLS DIRECTORY`: USER is a number; the probes' names come as a JSON
list on standard input, and `{"ends": {name: [state, message]}, "damage": [...]}` goes to
standard output.
"""

import ctypes
import json
import os
import select
import shutil
import socket
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from escape_probes import PROBES

from ringdaq.model import Channel, StreamSpec
from ringdaq.scripts import Limits, ScriptProcess, spawn
from ringdaq.streams import StreamReader, StreamWriter

SECRET = b"a secret"
PR_SET_DUMPABLE = 4
AT_ONCE = 2


class Host:
    """A daemon's side that nobody should reach."""

    def __getattr__(self, name):
        raise AssertionError(f"a probe called {name}")


class Stand:
    """The targets, and whether anything happened to them."""

    def __init__(self, directory):
        self._secret = ctypes.create_string_buffer(SECRET)
        self._directory = Path(tempfile.mkdtemp(dir=directory))
        (self._directory / "file").write_bytes(SECRET)
        (self._directory / "empty").mkdir()
        (self._directory / "planted.py").touch()
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self._rings = Path(tempfile.mkdtemp(prefix="ringdaq-test-", dir=shm))
        spec = StreamSpec("ring", "rows", (Channel("value", "float64"),))
        self._ring = StreamWriter.create(self._rings, spec, capacity_bytes=1 << 16)
        self._ring.append(1, 0.5)
        self._sockets = {
            "tcp": socket.create_server(("127.0.0.1", 0)),
            "udp": self._bound(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            "unix": self._bound(socket.AF_UNIX, socket.SOCK_STREAM, f"{self._directory}/unix"),
            "abstract": self._bound(socket.AF_UNIX, socket.SOCK_STREAM, ""),
            "datagrams": self._bound(socket.AF_UNIX, socket.SOCK_DGRAM, f"{self._directory}/data"),
        }
        self._files = self._found()

    def _bound(self, family, kind, address):
        bound = socket.socket(family, kind)
        bound.bind(address)
        if kind == socket.SOCK_STREAM:
            bound.listen()
        return bound

    @property
    def targets(self):
        """What the probes aim at."""
        addresses = {name: s.getsockname() for name, s in self._sockets.items()}
        return {
            "pid": os.getpid(),
            "address": ctypes.addressof(self._secret),
            "ring": str(self._ring.path),
            "directory": str(self._directory),
            "tcp": addresses["tcp"][1],
            "udp": addresses["udp"][1],
            **{name: addresses[name] for name in ("unix", "abstract", "datagrams")},
        }

    def damage(self):
        """What is not as it was, in words."""
        heard, _, _ = select.select(self._sockets.values(), [], [], 0)
        found = [f"{n!r} was reached" for n, s in self._sockets.items() if s in heard]
        if self._found() != self._files:
            found.append(f"files are different: {self._found()}")
        with StreamReader.open(self._ring.path) as reader:
            if reader.read(0).columns()["value"][0] != 0.5:
                found.append("the ring was written")
        if self._secret.raw[:-1] != SECRET or (self._directory / "file").read_bytes() != SECRET:
            found.append("a secret was written")
        return found

    def _found(self):
        return sorted(str(p) for d in (self._directory, self._rings) for p in d.rglob("*"))

    def close(self):
        """Give everything back."""
        for bound in self._sockets.values():
            bound.close()
        self._ring.close()
        shutil.rmtree(self._rings)
        shutil.rmtree(self._directory)


def attempt(name, targets):
    """How the script ended that tries the probe."""
    process = ScriptProcess(
        f"P = parameters\n{PROBES[name].source}\n",
        name="probe.py",
        parameters=targets,
        instruments={},
        limits=Limits(wall_secs=60.0, stop_secs=0.5),
        modules=(),
        host=Host(),
    )
    process.start()
    outcome = process.wait(90.0)
    if outcome is None:
        process.kill()
        return "hung", ""
    return outcome.state.value, str((outcome.error or {}).get("message", ""))


def become(user):
    """Go on as an ordinary user, whom its own processes may look at as usual."""
    if user != os.getuid():
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def boot(walls):
    """What starts a process behind those walls, with the language filter off."""
    here = str(Path(__file__).parent)
    return (
        f"import sys; sys.path += [*sys.argv[4:], {here!r}]; "
        f"import escape_kit; escape_kit.main({walls!r}, *map(int, sys.argv[1:4]))"
    )


def main():
    """All probes that were asked for."""
    user, walls, directory = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    names = json.load(sys.stdin)
    become(user)
    spawn._BOOT = boot(walls)
    stand = Stand(directory)
    try:
        targets = stand.targets
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ends = {name: pool.submit(attempt, name, targets) for name in names}
            ends = {name: end.result() for name, end in ends.items()}
        json.dump({"ends": ends, "damage": stand.damage()}, sys.stdout)
    finally:
        stand.close()


if __name__ == "__main__":
    main()
