"""How subscriptions and calls end: by their reader, by a closed client, by a gateway that hangs."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import pytest
from fake_daemon import DEADLINE_SECS, TOKEN, GatewayProcess, run_of

import ringdaq
from ringdaq.client import AsyncClient, Client
from ringdaq.errors import AuthenticationError, BadRequestError, RingdaqError, ServiceError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

METER = StreamSpec("meter", "rows", (Channel("power", "float64", unit="W"),))


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    process.daemon.methods["runs.status"] = run_of
    yield process
    process.close()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[Client]:
    with ringdaq.connect(gateway.address, TOKEN) as connected:
        yield connected


@pytest.fixture
def meter(gateway: GatewayProcess) -> Iterator[StreamWriter]:
    with StreamWriter.create(gateway.rings, METER, capacity_bytes=1 << 16) as writer:
        yield writer
    for file in gateway.rings.iterdir():
        file.unlink()


@pytest.fixture
def slow_read(gateway: GatewayProcess) -> Iterator[threading.Semaphore]:
    """Makes `read` hang until the test's end; released once for each that has begun."""
    begun, release = threading.Semaphore(0), threading.Event()

    def read(**_: Any) -> dict[str, Any]:
        begun.release()
        release.wait(DEADLINE_SECS)
        return {"value": 1.0}

    gateway.daemon.methods["instruments.call"] = read
    yield begun
    release.set()


@pytest.fixture
def hung(gateway: GatewayProcess) -> Iterator[Callable[[], None]]:
    """Stops the gateway's process until the test's end."""
    yield lambda: os.kill(gateway.process.pid, signal.SIGSTOP)
    os.kill(gateway.process.pid, signal.SIGCONT)


def run(gateway: GatewayProcess, use: Callable[[AsyncClient], Any]) -> Any:
    async def main() -> Any:
        async with asyncio.timeout(DEADLINE_SECS):
            async with await ringdaq.connect_async(gateway.address, TOKEN) as client:
                return await use(client)

    return asyncio.run(main())


# --- asyncio


def test_who_stops_waiting_ends_no_subscription(
    gateway: GatewayProcess, meter: StreamWriter
) -> None:
    async def use(client: AsyncClient) -> list[float]:
        values: list[float] = []
        async with client.stream(["meter"]) as batches:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(anext(batches), 0.05)
            for number in range(20):
                meter.append(number, float(number))
                while len(values) <= number:
                    # As short as it takes, so that some come at the moment of a timeout.
                    with contextlib.suppress(TimeoutError):
                        batch = await asyncio.wait_for(anext(batches), 0.002)
                        values += list(batch.channels["meter.power"].values)
        return values

    assert run(gateway, use) == [float(number) for number in range(20)]


def test_several_tasks_share_a_subscription(gateway: GatewayProcess, meter: StreamWriter) -> None:
    async def use(client: AsyncClient) -> list[int]:
        async with client.batches("meter") as records:

            async def take() -> list[int]:
                return [(await anext(records)).sequence for _ in range(10)]

            takers = [asyncio.create_task(take()) for _ in range(3)]
            for number in range(30):
                meter.append(number, 0.0)
            return sorted(chain.from_iterable(await asyncio.gather(*takers)))

    assert run(gateway, use) == list(range(30))


async def follow(client: AsyncClient, heard: asyncio.Event) -> str:
    async for _ in client.system():
        heard.set()
    return "came to its end"


def test_a_closed_client_ends_its_subscriptions_and_cancels_nobody(
    gateway: GatewayProcess,
) -> None:
    async def use(client: AsyncClient) -> str:
        heard = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(follow(client, heard))
            await heard.wait()
            await client.close()
        return following.result()

    assert run(gateway, use) == "came to its end"


def test_a_call_under_way_on_a_closed_client_fails(
    gateway: GatewayProcess, slow_read: threading.Semaphore
) -> None:
    async def use(client: AsyncClient) -> None:
        reading = asyncio.create_task(client.read("stage"))
        assert await asyncio.to_thread(slow_read.acquire, timeout=DEADLINE_SECS)
        await client.close()
        with pytest.raises(ServiceError, match="closed while ReadInstrument"):
            await reading
        with pytest.raises(ServiceError, match="closed; connect again"):
            await client.info()
        with pytest.raises(ServiceError, match="closed; connect again"):
            client.system()

    run(gateway, use)


def test_a_cancelled_task_is_cancelled_also_if_its_subscription_ends(
    gateway: GatewayProcess,
) -> None:
    async def use(client: AsyncClient) -> bool:
        heard, subscription = asyncio.Event(), client.system()

        async def iterate() -> None:
            async for _ in subscription:
                heard.set()
            await asyncio.sleep(0)

        task = asyncio.create_task(iterate())
        await heard.wait()
        subscription.close()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run(gateway, use)


def test_a_dropped_subscription_is_closed(gateway: GatewayProcess) -> None:
    def asked() -> int:
        return sum(name == "system.status" for name, _ in gateway.daemon.calls)

    async def use(client: AsyncClient) -> None:
        heard = asyncio.Event()
        task = asyncio.create_task(follow(client, heard))
        await heard.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        del task
        before = -1
        while before != asked():  # asked ten times a second while anybody listens
            before = asked()
            await asyncio.sleep(0.3)

    run(gateway, use)


def test_a_wait_on_a_closed_client_does_not_say_that_time_is_over(gateway: GatewayProcess) -> None:
    async def use(client: AsyncClient) -> None:
        waiting = asyncio.create_task(client.wait("r1"))
        while not any(name == "runs.status" for name, _ in gateway.daemon.calls):
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(ServiceError, match="closed"):
            await waiting

    run(gateway, use)


# --- blocking


def test_a_closed_client_ends_a_subscription_in_another_thread(gateway: GatewayProcess) -> None:
    client = ringdaq.connect(gateway.address, TOKEN)
    heard, ends = threading.Event(), []

    def iterate() -> None:
        try:
            for _ in client.system():
                heard.set()
            ends.append("came to its end")
        except Exception as error:
            ends.append(repr(error))

    thread = threading.Thread(target=iterate)
    thread.start()
    assert heard.wait(DEADLINE_SECS)
    client.close()
    thread.join(DEADLINE_SECS)
    assert ends == ["came to its end"]
    with pytest.raises(ServiceError, match="closed; connect again"):
        client.info()
    with pytest.raises(ServiceError, match="closed; connect again"):
        client.stream()


# --- time


def test_seconds_are_over_only_where_somebody_answered(
    client: Client, meter: StreamWriter, hung: Callable[[], None]
) -> None:
    assert list(client.stream(["meter"], seconds=0.5)) == []
    assert list(client.batches("meter", seconds=0.5)) == []
    with pytest.raises(ServiceError, match="goes on"):
        client.wait("r1", timeout=0.5)
    hung()
    for ask in (client.stream, client.system):
        with pytest.raises(ServiceError, match="did not answer"):
            list(ask(seconds=0.5))
    with pytest.raises(ServiceError, match="did not answer"):
        client.wait("r1", timeout=0.5)
    assert list(client.stream(seconds=0)) == []


def test_seconds_of_the_async_client_are_over_only_where_somebody_answered(
    gateway: GatewayProcess, meter: StreamWriter, hung: Callable[[], None]
) -> None:
    async def use(client: AsyncClient) -> None:
        assert [batch async for batch in client.stream(["meter"], seconds=0.5)] == []
        with pytest.raises(ServiceError, match="goes on"):
            await client.wait("r1", timeout=0.5)
        hung()
        with pytest.raises(ServiceError, match="did not answer"):
            [batch async for batch in client.stream(["meter"], seconds=0.5)]
        with pytest.raises(ServiceError, match="did not answer"):
            await client.wait("r1", timeout=0.5)

    run(gateway, use)


@pytest.mark.parametrize("seconds", [math.inf, math.nan, -1.0, 1e300])
def test_seconds_that_are_no_time_are_refused(client: Client, seconds: float) -> None:
    for ask in (client.stream, client.system):
        with pytest.raises(BadRequestError, match="finite number of seconds"):
            ask(seconds=seconds)
    with pytest.raises(BadRequestError, match="finite number of seconds"):
        client.wait("r1", timeout=seconds)
    with pytest.raises(BadRequestError, match="finite number of seconds"):
        client.call("stage", "home", deadline_secs=seconds)
    if seconds != -1.0:  # which the daemon refuses, with words of its own
        with pytest.raises(BadRequestError, match="finite number of seconds"):
            client.move("stage", 1.0, timeout=seconds)


@pytest.mark.slow
def test_a_gateway_that_hangs_is_noticed_on_a_quiet_stream(
    client: Client, hung: Callable[[], None]
) -> None:
    errors: list[Exception] = []
    batches = client.stream()

    def iterate() -> None:
        try:
            list(batches)
        except RingdaqError as error:
            errors.append(error)

    reader = threading.Thread(target=iterate)
    reader.start()
    hung()
    reader.join(DEADLINE_SECS + 15)
    noticed = list(errors)
    batches.close()
    reader.join()
    assert noticed


# --- tokens


def test_a_token_is_taken_as_its_file_has_it(gateway: GatewayProcess) -> None:
    with ringdaq.connect(gateway.address, f"{TOKEN}\n") as client:
        assert client.info().rig == "demo"


@pytest.mark.parametrize("token", ["tökén-tökén-tökén", f"{TOKEN}\nand more", "\x00" * 20])
def test_what_can_be_no_token_is_refused(gateway: GatewayProcess, token: str) -> None:
    with pytest.raises(AuthenticationError, match="token"):
        ringdaq.connect(gateway.address, token)
    with pytest.raises(AuthenticationError, match="token"):
        asyncio.run(ringdaq.connect_async(gateway.address, token))
