"""What a limit of the rate leaves out, when another one counts, and what stays together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ringdaq.gateway.records import Waiting
from ringdaq.gateway.rings import RingHub
from ringdaq.gateway.websocket_stream import StreamSession
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

DEADLINE_SECS = 30.0
CAMERA = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(512, 1024)),))
IMAGE = np.zeros((512, 1024), np.uint16)
METER = StreamSpec("meter", "rows", (Channel("power", "float64"),))


class Page:
    """The other side of a WebSocket, in this process."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any] | bytes] = []
        self.interrupts = False
        """Whether it says something as soon as a record begins."""
        self.waiting: Sequence[Waiting] = ()
        """What the session keeps for it."""
        self._said: asyncio.Queue[str] = asyncio.Queue()

    async def send(self, message: str | bytes) -> None:
        heard = json.loads(message) if isinstance(message, str) else message
        self.heard.append(heard)
        if self.interrupts and isinstance(heard, dict) and heard["type"] == "record":
            self.say(type="ping")
        for _ in range(5):  # others have a turn before it is sent
            await asyncio.sleep(0)

    def say(self, **message: Any) -> None:
        self._said.put_nowait(json.dumps(message))

    def __aiter__(self) -> Page:
        return self

    async def __anext__(self) -> str:
        return await self._said.get()

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.heard if isinstance(one, dict) and one["type"] == kind]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(DEADLINE_SECS):
            while not condition():
                await asyncio.sleep(0.005)


class NoRuns:
    """No run is asked about."""

    async def known(self, run_id: str) -> bool:
        raise AssertionError(run_id)

    async def over(self, run_id: str) -> None:
        raise AssertionError(run_id)


@asynccontextmanager
async def session(directory: Path, stream: str, rate_hz: float | None) -> AsyncIterator[Page]:
    page = Page()
    made = StreamSession(page, RingHub(directory, NoRuns()), stream)  # type: ignore[arg-type]
    page.waiting = made._queue._queue
    made.limit(rate_hz)
    running = asyncio.create_task(made.run())
    await page.until(lambda: page.told("stream"))
    yield page
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_what_the_limit_leaves_out_is_skipped_not_lost(ring_directory: Path) -> None:
    frames = 40

    async def main() -> None:
        with StreamWriter.create(ring_directory, CAMERA, capacity_bytes=64 << 20) as camera:
            async with session(ring_directory, "camera", 0.001) as page:
                camera.write_frame(0, IMAGE)
                await page.until(lambda: page.told("record"))
                for n in range(1, frames):
                    camera.write_frame(n, IMAGE)
                    await asyncio.sleep(0)
                # What is read without a limit may be more than there is room for, and then is lost.
                await page.until(
                    lambda: page.waiting and page.waiting[-1].record.sequence == frames - 1
                )
                page.say(type="limit", max_rate_hz=None)
                await page.until(lambda: page.told("record")[-1]["sequence"] == frames - 1)
            records = page.told("record")
            assert len(records) + sum(one["skipped_records"] for one in records) == frames
            assert not page.told("lost")

    asyncio.run(main())


@pytest.mark.parametrize("other", [None, 1000])
def test_another_limit_counts_at_once(ring_directory: Path, other: float | None) -> None:
    async def main() -> None:
        with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 16) as meter:
            async with session(ring_directory, "meter", 0.001) as page:
                for n in range(2):
                    meter.append(n, 1.0)
                    await page.until(lambda: page.told("record"))
                page.say(type="limit", max_rate_hz=other)
                await page.until(lambda: len(page.told("record")) == 2)

    asyncio.run(main())


def test_no_answer_comes_between_a_record_and_its_batch(ring_directory: Path) -> None:
    rounds = 10

    async def main() -> None:
        with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 20) as meter:
            async with session(ring_directory, "meter", None) as page:
                page.interrupts = True
                for n in range(rounds):
                    meter.append(n, 1.0)
                await page.until(lambda: len(page.told("record")) == rounds)
                await page.until(lambda: len(page.told("pong")) == rounds)
            for this, following in zip(page.heard, page.heard[1:], strict=False):
                if isinstance(this, dict) and this["type"] in ("record", "stream"):
                    assert isinstance(following, bytes)

    asyncio.run(main())
