"""Others at the same work: Numba, threads of Python, BrainFlow, ezmsg."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numba
import numpy as np

from benchmarks.measure import quantile
from benchmarks.pipeline.work import CHANNELS, RAW, SAMPLES, SCALE, SOS, Scipy, timed
from ringdaq.pipeline.native_build import use_whole_vectors

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-pipeline-peers" / "bin" / "python"
SCRIPT = ROOT / "benchmarks" / "peers" / "pipeline_peers.py"
THREADS = 5

# Before Numba marks anything: for the peer as for our own stages.
use_whole_vectors()


@numba.njit(fastmath=True)  # type: ignore[untyped-decorator]
def numba_filter(raw: Any, out: Any, sections: Any, state: Any, scale: float) -> None:
    """Counts to volts and the sections, in doubles."""
    for row in range(raw.shape[0]):
        for channel in range(raw.shape[1]):
            out[row, channel] = raw[row, channel] * scale
        for s in range(sections.shape[0]):
            b0, b1, b2 = sections[s, 0], sections[s, 1], sections[s, 2]
            a1, a2 = sections[s, 4], sections[s, 5]
            for channel in range(raw.shape[1]):
                x = out[row, channel]
                y = b0 * x + state[s, 0, channel]
                state[s, 0, channel] = b1 * x - a1 * y + state[s, 1, channel]
                state[s, 1, channel] = b2 * x - a2 * y
                out[row, channel] = y


def of_filter(rounds: int) -> dict[str, float]:
    """Scale and filter, in microseconds."""
    out, state = np.empty((SAMPLES, CHANNELS)), np.zeros((len(SOS), 2, CHANNELS))
    numba_filter(RAW, out, SOS, state, SCALE)
    return {
        "scipy f64": timed(Scipy().filter, rounds),
        "scipy f32": timed(Scipy(np.float32).filter, rounds),
        "numba f64": timed(lambda: numba_filter(RAW, out, SOS, state, SCALE), rounds),
    }


def empty_threads(rounds: int) -> float:
    """A packet through five threads of Python that do nothing, in microseconds."""
    ways: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(THREADS + 1)]

    def pass_on(index: int) -> None:
        while (packet := ways[index].get()) is not None:
            ways[index + 1].put(packet)
        ways[index + 1].put(None)

    threads = [threading.Thread(target=pass_on, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    times = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        ways[0].put(RAW)
        ways[-1].get()
        times.append(time.perf_counter_ns() - start)
    ways[0].put(None)
    for thread in threads:
        thread.join()
    return quantile(times, 0.5) / 1e3


@dataclass
class Installed:
    """The peers with an environment of their own."""

    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Who could not be measured, and why."""

    def figure(self, peer: str, name: str, title: str) -> dict[str, float]:
        """A figure under a title; nothing where the peer was not measured."""
        found = self.figures.get(peer, {})
        return {title: found[name]} if name in found else {}


def installed(share: float) -> Installed:
    """Measure BrainFlow and ezmsg."""
    found = Installed()
    for peer, rounds in (("brainflow", 300), ("ezmsg", 2_000)):
        try:
            told = _ask(peer, max(10, int(rounds * share)))
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            found.missing[peer] = f"{type(error).__name__}: {error}"
            continue
        found.versions[peer] = told.pop("version")
        found.figures[peer] = told
    return found


def _ask(peer: str, rounds: int) -> dict[str, Any]:
    command = [str(PYTHON), str(SCRIPT), peer, str(rounds)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
