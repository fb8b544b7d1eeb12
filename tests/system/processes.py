"""Whether a process that a test saw still runs, and what it is."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended and waits for its parent to ask does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def left_after(pids: Iterable[int], secs: float) -> list[str]:
    """What still runs of these after so many seconds at most; empty as soon as all have ended."""
    deadline = time.monotonic() + secs
    left = list(pids)
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if alive(pid)]
        time.sleep(0.02)
    return [described(pid) for pid in left]


def described(pid: int) -> str:
    """Its command line, state and parent, and where each of its threads is in the kernel."""
    folder = Path(f"/proc/{pid}")
    try:
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        status = (folder / "status").read_text().splitlines()
        facts = [
            line for line in status if line.startswith(("Name", "State", "PPid", "Sig", "Shd"))
        ]
        waits = [
            f"{(task / 'comm').read_text().strip()}: {(task / 'wchan').read_text().strip()}"
            for task in (folder / "task").iterdir()
        ]
    except OSError as error:
        return f"{pid}: {error}"
    return f"{pid}: {command!r}; {facts}; {waits}"
