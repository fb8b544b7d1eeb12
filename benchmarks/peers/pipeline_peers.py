"""The pipeline's packets in BrainFlow, and a hop of ezmsg; run in the peers' own environment.

`python pipeline_peers.py brainflow|ezmsg ROUNDS` prints one JSON object of figures in microseconds.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncGenerator
from importlib import metadata
from typing import Any

import numpy as np

CHANNELS, SAMPLES, RATE, LENGTH = 32, 400, 4_000, 512
SCALE = 4.5 / 24 / 2**23


def _p50(work: Any, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - start)
    return sorted(times)[len(times) // 2] / 1e3


def brainflow(rounds: int) -> dict[str, float]:
    """Counts to volts, band-pass, notch, transform, channel by channel; no state is carried."""
    from brainflow.data_filter import DataFilter, FilterTypes, WindowOperations

    numbers = np.arange(SAMPLES * CHANNELS, dtype=np.int32) * 7919 % 100_000 - 50_000
    raw = np.ascontiguousarray(numbers.reshape(SAMPLES, CHANNELS).T)
    kind = FilterTypes.BUTTERWORTH

    def filtered() -> Any:
        volts = raw * SCALE
        for row in volts:
            DataFilter.perform_bandpass(row, RATE, 1.0, 40.0, 4, kind, 0)
            DataFilter.perform_bandstop(row, RATE, 49.0, 51.0, 2, kind, 0)
        return volts

    def chain() -> None:
        for row in filtered():
            padded = np.concatenate([row, np.zeros(LENGTH - SAMPLES)])
            DataFilter.perform_fft(padded, WindowOperations.HANNING.value)

    filtered()
    return {"filter_us": _p50(filtered, rounds), "chain_us": _p50(chain, max(3, rounds // 10))}


def ezmsg(rounds: int) -> dict[str, float]:
    """From a unit to the next one in the same process, with a packet, half of there and back."""
    import ezmsg.core as ez

    packet = np.zeros((SAMPLES, CHANNELS), np.float32)
    times: list[int] = []

    class There(ez.Unit):  # type: ignore[misc]
        INPUT = ez.InputStream(Any)
        OUTPUT = ez.OutputStream(Any)

        @ez.publisher(OUTPUT)  # type: ignore[untyped-decorator]
        async def begin(self) -> AsyncGenerator[Any]:
            times.append(time.perf_counter_ns())
            yield self.OUTPUT, packet

        @ez.subscriber(INPUT)  # type: ignore[untyped-decorator]
        @ez.publisher(OUTPUT)
        async def again(self, message: Any) -> AsyncGenerator[Any]:
            times.append(time.perf_counter_ns())
            if len(times) > rounds:
                raise ez.NormalTermination
            yield self.OUTPUT, message

    class Back(ez.Unit):  # type: ignore[misc]
        INPUT = ez.InputStream(Any)
        OUTPUT = ez.OutputStream(Any)

        @ez.subscriber(INPUT)  # type: ignore[untyped-decorator]
        @ez.publisher(OUTPUT)
        async def echo(self, message: Any) -> AsyncGenerator[Any]:
            yield self.OUTPUT, message

    there, back = There(), Back()
    edges = ((there.OUTPUT, back.INPUT), (back.OUTPUT, there.INPUT))
    ez.run(THERE=there, BACK=back, connections=edges)
    trips = sorted(np.diff(times))
    return {"hop_us": float(trips[len(trips) // 2]) / 2e3}


def main() -> None:
    """Print the figures of one peer."""
    peer, rounds = sys.argv[1], int(sys.argv[2])
    found = {"brainflow": brainflow, "ezmsg": ezmsg}[peer](rounds)
    print(json.dumps({"version": metadata.version(peer)} | found))


if __name__ == "__main__":
    main()
