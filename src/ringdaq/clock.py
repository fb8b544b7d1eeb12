"""The one clock: int64 nanoseconds since the Unix epoch that never step.

Wall clocks are stepped by NTP and by people, so every time stamp is the monotonic clock plus an
anchor.
The first process of a boot takes the anchor and leaves it in a small file; all others read it
there, so that stamps of different processes agree.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from functools import cache
from pathlib import Path

NANOS_PER_SEC = 1_000_000_000


def take_anchor(tries: int = 9) -> int:
    """Wall time minus monotonic time in ns, from the least disturbed of several readings."""
    best_width, best_anchor = 1 << 62, 0
    for _ in range(tries):
        before = time.monotonic_ns()
        wall = time.time_ns()
        after = time.monotonic_ns()
        if after - before < best_width:
            best_width, best_anchor = after - before, wall - (before + after) // 2
    return best_anchor


def anchor_path() -> Path:
    """Where this user's processes of this boot share their anchor."""
    directory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/tmp")
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return directory / f"ringdaq-clock-{os.getuid()}-{boot}"


def _read_anchor(path: Path) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(fd) as file:
        if os.fstat(file.fileno()).st_uid != os.getuid():
            raise PermissionError(f"the clock's anchor must be this user's own file: {path}")
        return int(file.read())


def _share_anchor(path: Path, anchor: int) -> None:
    """Publish the anchor whole or not at all; whoever comes second keeps the first's."""
    # A draft for each caller: threads of one process may come here at once.
    fd, draft = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    with os.fdopen(fd, "w") as file:
        file.write(str(anchor))
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    os.unlink(draft)


@cache
def boot_anchor() -> int:
    """The anchor that all of this user's processes share since the last boot, in ns."""
    path = anchor_path()
    shared = _read_anchor(path)
    if shared is None:
        _share_anchor(path, take_anchor())
        shared = _read_anchor(path)
    if shared is None:
        raise FileNotFoundError(f"the clock's anchor vanished while it was read: {path}")
    return shared


def now_nanos() -> int:
    """Nanoseconds since the Unix epoch; never goes back."""
    return time.monotonic_ns() + boot_anchor()


def wall_step_nanos() -> int:
    """How far the wall clock has moved against this clock since the anchor was taken, in ns."""
    return take_anchor() - boot_anchor()
