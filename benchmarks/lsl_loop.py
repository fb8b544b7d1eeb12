"""What a pipeline adds to LSL: LSL in, volts and filters, LSL out, against LSL alone.

Chunks of 4 samples of 32 channels at 4 kSPS, one a millisecond, stamped by their place in the
stream. Sender, pipeline and receiver are processes of their own; rounds with the pipeline between
and rounds without it take turns in one run, and of each kind the calmest one counts, since a
machine with other work delays either kind. `python -m benchmarks.lsl_loop` prints the figures,
`--tiny` only proves that it runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import quantile

CHANNELS, RATE, CHUNK = 32, 4_000, 4
ROUNDS, CHUNKS, WARM = 6, 1_000, 300
PATIENCE_SECS = 30.0
ROOT = Path(__file__).parents[1]
LOCAL = "[multicast]\nResolveScope = machine\n[log]\nlevel = -2\n"
PIPELINE = """
name = "loop"
[[stage]]
type = "lsl_source"
stream = "{source}"
samples = {samples}
[[stage]]
type = "to_voltage"
[[stage]]
type = "bandpass"
low_hz = 1.0
high_hz = 40.0
[[stage]]
type = "notch"
frequency_hz = 50.0
[[stage]]
type = "lsl_sink"
stream = "{sink}"
"""


def lsl_loop(rounds: int = ROUNDS, chunks: int = CHUNKS) -> dict[str, Any]:
    """The p99 that the pipeline adds, in ms, and both ways' p50 and p99 in microseconds."""
    with tempfile.TemporaryDirectory(prefix="lsl-loop-") as folder:
        config = Path(folder) / "lsl_api.cfg"
        config.write_text(LOCAL)
        os.environ["LSLAPICFG"] = str(config)
        alone: list[list[float]] = []
        through: list[list[float]] = []
        for _ in range(rounds):
            alone.append(_round(chunks, pipeline=False))
            through.append(_round(chunks, pipeline=True))
    peers = {
        "lsl_alone_p50_us": _calmest(alone, 0.5),
        "lsl_alone_p99_us": _calmest(alone, 0.99),
        "through_p50_us": _calmest(through, 0.5),
        "through_p99_us": _calmest(through, 0.99),
    }
    added = peers["through_p99_us"] - peers["lsl_alone_p99_us"]
    return {"value": added / 1e3, "peers": peers}


def _calmest(rounds: list[list[float]], share: float) -> float:
    return min(quantile(delays, share) for delays in rounds)


def _round(chunks: int, *, pipeline: bool) -> list[float]:
    """Delays from push to arrival in microseconds, without the first ones."""
    source, sink = (f"ringdaq-loop-{uuid.uuid4().hex}" for _ in range(2))
    sender = _Sender(source)
    with ExitStack() as stack:
        if pipeline:
            stack.enter_context(_child("pipeline", source, sink))
        receiver = stack.enter_context(_child("receive", sink if pipeline else source, str(chunks)))
        pushed = sender.send(chunks)
        assert receiver.stdout is not None
        arrived = json.loads(receiver.stdout.readline())
    delays = [(at - pushed[int(k)]) / 1e3 for k, at in arrived.items() if int(k) >= WARM]
    if len(delays) != chunks:
        raise RuntimeError(f"{len(delays)} chunks of {chunks} arrived")
    return delays


class _Sender:
    def __init__(self, name: str) -> None:
        from mne_lsl import lsl

        info = lsl.StreamInfo(name, "EEG", CHANNELS, RATE, "int32", name)
        info.set_channel_names([f"E{n + 1}" for n in range(CHANNELS)])
        info.set_channel_units(["microvolts"] * CHANNELS)
        self._outlet = lsl.StreamOutlet(info, max_buffered=10)
        self._block = np.arange(CHUNK * CHANNELS, dtype=np.int32).reshape(CHUNK, CHANNELS)

    def send(self, chunks: int) -> list[int]:
        """Send at a fixed pace; returns when each chunk was pushed, on the monotonic clock.

        Sample n has the stamp 1000 s + n / rate, so that its number can be read from it.
        """
        pushed = []
        stamps = 1000 + np.arange(CHUNK) / RATE
        start = time.monotonic()
        for chunk in range(chunks + WARM):
            due = start + chunk * CHUNK / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            pushed.append(time.monotonic_ns())
            self._outlet.push_chunk(self._block, stamps + chunk * CHUNK / RATE)
        return pushed


@contextmanager
def _child(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process of this module that has said that it is ready."""
    command = [sys.executable, "-m", "benchmarks.lsl_loop", *arguments]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert child.stdout is not None
        if child.stdout.readline() != "ready\n":
            raise RuntimeError(f"{arguments[0]} ended with {child.wait(PATIENCE_SECS)}")
        yield child
    finally:
        child.kill()
        child.communicate()


def _receive(name: str, chunks: int) -> None:
    """Note when each chunk arrived, by its number; end after so many, or when nothing comes."""
    from mne_lsl import lsl

    (found,) = lsl.resolve_streams(timeout=PATIENCE_SECS, name=name)
    inlet = lsl.StreamInlet(found, max_buffered=10)
    inlet.open_stream(timeout=PATIENCE_SECS)
    print("ready", flush=True)
    arrived: dict[int, int] = {}
    while True:
        block, stamps = inlet.pull_chunk(2.0 if arrived else PATIENCE_SECS, CHUNK)
        now = time.monotonic_ns()
        if len(block) < CHUNK:
            break
        number = round((float(stamps[0]) - 1000) * RATE / CHUNK)
        arrived[number] = now
        if number >= chunks + WARM - 1:
            break
    print(json.dumps(arrived), flush=True)


def _pipeline(source: str, sink: str) -> None:
    """Run the pipeline until the parent hangs up."""
    from ringdaq.config import parse_pipeline
    from ringdaq.pipeline.build import build
    from ringdaq.pipeline.graph import check
    from ringdaq.pipeline.running import RunningPipeline

    text = PIPELINE.format(source=source, sink=sink, samples=CHUNK)
    running = RunningPipeline(build(check(parse_pipeline(text), connect=True)))
    running.start()
    print("ready", flush=True)
    sys.stdin.read()
    running.stop(5.0)


def main() -> None:
    """Measure, or be one of the other processes."""
    match sys.argv[1:]:
        case ["receive", name, chunks]:
            _receive(name, int(chunks))
        case ["pipeline", source, sink]:
            _pipeline(source, sink)
        case ["--tiny"]:
            print(json.dumps(lsl_loop(rounds=1, chunks=100)))
        case _:
            print(json.dumps(lsl_loop(), indent=2))


if __name__ == "__main__":
    main()
