"""Where a daemon's rings lie: `<stream>.<generation>.ring`, each with a `.wake` beside it."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import re
import stat
from pathlib import Path

import ringdaq_core as core

from ringdaq.errors import DaemonUnreachableError, RingSpaceError, StreamError, UnknownStreamError
from ringdaq.model import check_name

_RING = re.compile(r"(?P<stream>.+)\.(?P<number>\d{8})\.ring")
_TEMPORARY = re.compile(r"\..+\.\d{8}\.ring\.\d+")
_TAKEN = re.compile(r"\.?(?P<stream>.+)\.(?P<number>\d{8})\.(ring|wake)(\.\d+)?")


class RingDirectory:
    """The rings of one daemon."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    def make(self) -> None:
        """Make the directory for this user alone, or make sure that nobody else owns it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.stat(self.path, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.getuid(), 0):
            raise StreamError(
                f"rings need a directory of this user (uid {os.getuid()}), not a link; "
                f"found one of uid {found.st_uid}: {self.path}"
            )

    def _names(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return os.listdir(self.path)
        return []

    def _rings(self) -> list[tuple[str, int, Path]]:
        matches = (_RING.fullmatch(name) for name in self._names())
        return sorted(
            (match["stream"], int(match["number"]), self.path / match[0])
            for match in matches
            if match and not match[0].startswith(".")
        )

    def streams(self) -> list[str]:
        """The names of all streams."""
        return sorted({stream for stream, _, _ in self._rings()})

    def newest_of_all(self) -> dict[str, Path]:
        """The newest ring of each stream, from one look at the directory."""
        return {stream: path for stream, _, path in self._rings()}

    def generations(self, stream: str) -> list[Path]:
        """A stream's rings, old to new."""
        return [path for name, _, path in self._rings() if name == stream]

    def made_after(self, stream: str, nanos: int) -> list[Path]:
        """A stream's rings that were made later than that, old to new.

        Their numbers tell nothing where all earlier ones were removed: then they begin anew.
        """
        return [path for path in self.generations(stream) if _made(path) > nanos]

    def newest(self, stream: str) -> Path:
        """A stream's newest ring."""
        found = self.generations(stream)
        if not found:
            raise self._unknown(stream)
        return found[-1]

    def _unknown(self, stream: str) -> UnknownStreamError:
        streams = self.streams()
        near = difflib.get_close_matches(stream, streams, n=1)
        if near:
            hint = f"did you mean {near[0]!r}?"
        else:
            hint = f"there are: {', '.join(streams)}" if streams else "there is none at all"
        return UnknownStreamError(
            f"there is no stream {stream!r}; {hint}: {self.path}", stream=stream
        )

    def next_path(self, stream: str) -> Path:
        """Where the stream's next generation goes."""
        check_name(stream, "stream")
        matches = (_TAKEN.fullmatch(name) for name in self._names())
        numbers = [int(match["number"]) for match in matches if match and match["stream"] == stream]
        return self.path / f"{stream}.{max(numbers, default=0) + 1:08d}.ring"

    def free_bytes(self) -> int:
        """How much more rings may take here: of the file system, and of memory if it lies there."""
        found = os.statvfs(self.path)
        free = found.f_bavail * found.f_frsize
        return min(free, _available_bytes()) if _in_memory(self.path) else free

    def check_space(self, wanted_bytes: int, largest: str = "") -> None:
        """Refuse rings that will not fit, before the first one is made."""
        free = self.free_bytes()
        if wanted_bytes > free:
            raise RingSpaceError(
                f"the rings need {wanted_bytes} bytes; {free} are free. "
                f"{f'The largest: {largest}. ' if largest else ''}"
                "Make them smaller, make room, or let `ring_directory` name another place: "
                f"{self.path}"
            )

    def dead(self, stream: str) -> list[Path]:
        """A stream's rings that no living process writes, old to new."""
        return [path for path in self.generations(stream) if not core.is_owned(path)]

    def all_dead(self) -> list[Path]:
        """Whatever no living process writes, unfinished rings too, old to new."""
        dead = [path for _, _, path in self._rings() if not core.is_owned(path)]
        return sorted(dead + self._abandoned(), key=_made)

    def remove(self, path: Path) -> None:
        """Remove one ring; whoever has it mapped keeps what it sees."""
        path.unlink(missing_ok=True)
        path.with_suffix(".wake").unlink(missing_ok=True)

    def _abandoned(self) -> list[Path]:
        """Rings whose writer died before they were finished."""
        found = [self.path / name for name in self._names() if _TEMPORARY.fullmatch(name)]
        return [path for path in found if not core.is_owned(path)]


def _made(path: Path) -> int:
    """When a ring was made, in nanoseconds; mapped memory does not change it later."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:  # somebody else removed it just now
        return 0


def _in_memory(path: Path) -> bool:
    """Whether a directory's files lie in memory (proc_pid_mountinfo(5))."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, system = line.partition(" - ")
        if mount.split()[2] == number:
            return system.split()[0] in ("tmpfs", "ramfs")
    return False


def _available_bytes() -> int:
    """Memory that can be had without swapping (proc_meminfo(5))."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise StreamError(
        "/proc/meminfo should say MemAvailable, as Linux 3.14 and later do; it does not"
    )


def state_directory() -> Path:
    """Where the daemon of this user keeps `daemon.json`."""
    given = os.environ.get("RINGDAQ_STATE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "ringdaq"


def running_directory() -> Path:
    """The ring directory of this user's daemon."""
    path = state_directory() / "daemon.json"
    try:
        return Path(json.loads(path.read_text())["ring_directory"])
    except FileNotFoundError:
        raise DaemonUnreachableError(
            f"a daemon should run and say where its rings are; start one with `ringdaq daemon`, "
            f"or give the directory: {path}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DaemonUnreachableError(f"the daemon's file is damaged ({error!r}): {path}") from None
