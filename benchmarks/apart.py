"""Two processes, each on a processor of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


def two_processors() -> tuple[int, ...]:
    """A processor for this process and another for the other; none if there is only one."""
    found = sorted(os.sched_getaffinity(0))
    return (found[0], found[-1]) if len(found) > 1 else ()


@contextmanager
def apart(child: subprocess.Popen[str], places: tuple[int, ...]) -> Iterator[None]:
    """Keep this process and the other each on a processor of its own, if any are named."""
    free = os.sched_getaffinity(0)
    if places:
        os.sched_setaffinity(0, {places[0]})
        os.sched_setaffinity(child.pid, {places[1]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, free)
