"""Streams over WebSockets, from real rings through a real gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fake_daemon import TOKEN, GatewayProcess, run_of
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

PATIENCE_SECS = 20.0
EEG = StreamSpec(
    "eeg.filtered",
    "samples",
    (Channel("Fp1", "float32", unit="V"), Channel("Fp2", "float32", unit="V")),
    sample_rate=Fraction(250),
    simulated=True,
)
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    yield process
    process.close()


@pytest.fixture
def ring(gateway: GatewayProcess) -> Iterator[StreamWriter]:
    writer = StreamWriter.create(gateway.rings, EEG, capacity_bytes=1 << 20)
    yield writer
    writer.close()
    for file in gateway.rings.iterdir():
        file.unlink()


class Browser:
    """What a page does: keeps JSON and binary messages apart."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.told: list[dict[str, Any]] = []
        self.binary: list[bytes] = []

    def hear(self) -> dict[str, Any] | None:
        """The next message; `None` for a binary one, which is kept."""
        message = self.connection.recv(timeout=PATIENCE_SECS)
        if isinstance(message, bytes):
            self.binary.append(message)
            return None
        self.told.append(json.loads(message))
        return self.told[-1]

    def hear_until(self, kind: str) -> dict[str, Any]:
        """The next message of a type; what comes before it is kept."""
        while True:
            told = self.hear()
            if told is not None and told["type"] == kind:
                return told

    def hear_records(self, count: int) -> None:
        while len(self.binary) < 1 + count:
            self.hear()

    def say(self, message: Any) -> None:
        self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def table(self) -> pa.Table:
        """All binary messages together, as the reader of Arrow's streams takes them."""
        return pa.ipc.open_stream(b"".join(self.binary)).read_all()


@contextmanager
def browser(
    gateway: GatewayProcess, stream: str = EEG.name, query: str = "", **options: Any
) -> Iterator[Browser]:
    address = f"ws://{gateway.daemon.websocket_address}/v1/streams/{stream}{query}"
    options = {"additional_headers": BEARER, "max_size": None, **options}
    with connect(address, open_timeout=PATIENCE_SECS, **options) as connection:
        yield Browser(connection)


def block(first: int, rows: int = 4) -> Any:
    return np.arange(2 * first, 2 * (first + rows), dtype=np.float32).reshape(rows, 2)


def values_of(table: pa.Table) -> Any:
    return np.concatenate([np.asarray(c.flatten()) for c in table["samples"].chunks])


def test_labels_units_and_schema_come_before_anything_is_written(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    with browser(gateway) as page:
        told = page.hear_until("stream")
        page.hear()
    assert told["generation"] == ring.generation
    assert StreamSpec.from_dict(told["spec"]) == EEG
    assert told["spec"]["simulated"] is True
    schema = pa.ipc.read_schema(pa.py_buffer(page.binary[0]))
    assert "samples" in schema.names


def test_records_are_an_arrow_stream_with_their_times_beside_them(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    with browser(gateway) as page:
        page.hear_until("stream")
        for n in range(50):
            ring.write_block(10**18 + n * 16_000_000, block(4 * n))
        page.hear_records(50)
    assert np.array_equal(values_of(page.table()), np.arange(400))
    records = [told for told in page.told if told["type"] == "record"]
    assert [told["sequence"] for told in records] == list(range(50))
    assert [int(told["first_nanos"]) for told in records] == [
        10**18 + n * 16_000_000 for n in range(50)
    ]
    assert {told["rows"] for told in records} == {4}
    assert not [told for told in page.told if told["type"] in ("lost", "error")]


def test_who_comes_late_gets_the_form_first_and_then_what_is_new(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    for n in range(20):
        ring.write_block(n, block(0))
    with browser(gateway) as late:
        late.hear_until("stream")
        late.hear()
        assert late.told[0]["type"] == "stream"
        ring.write_block(10**18, block(7))
        late.hear_records(1)
    assert late.told[-1]["sequence"] == 20
    assert np.array_equal(values_of(late.table()), block(7).ravel())


def test_a_limit_of_the_rate_skips_and_counts(gateway: GatewayProcess, ring: StreamWriter) -> None:
    with browser(gateway, query="?max_rate_hz=2") as page:
        page.hear_until("stream")
        for n in range(30):
            ring.write_block(n * 16_000_000, block(4 * n))
        seen = skipped = 0
        while seen + skipped < 30:
            told = page.hear_until("record")
            seen, skipped = seen + 1, skipped + told["skipped_records"]
            rows = told["skipped_rows"]
            assert rows == 4 * told["skipped_records"]
        page.hear()
    assert (seen + skipped, seen < 30) == (30, True)
    assert told["sequence"] == 29


def test_a_limit_can_be_changed_and_a_ping_is_answered(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    with browser(gateway) as page:
        page.say({"type": "limit", "max_rate_hz": 20})
        assert page.hear_until("limit")["max_rate_hz"] == 20
        page.say({"type": "limit", "max_rate_hz": None})
        assert page.hear_until("limit")["max_rate_hz"] is None
        page.say({"type": "ping"})
        assert page.hear_until("pong")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("{", "a message is a JSON object"),
        ("[1]", "a message is a JSON object"),
        (b"\x00\x01", "a message is a JSON object"),
        ({"type": "subscribe"}, "type is 'limit' or 'ping'; found 'subscribe'"),
        ({"type": "limit", "max_rate_hz": -1}, "above 0.*found -1"),
        ({"type": "limit", "max_rate_hz": "fast"}, "found 'fast'"),
        ('{"type": "limit", "max_rate_hz": 1' + "0" * 400 + "}", "above 0 and up to 1e"),
        ('{"type": "limit", "max_rate_hz": NaN}', "found nan"),
        ("[" * 60_000, "a message is a JSON object"),
        ({"type": ["subscribe"] * 1000}, "type is 'limit' or 'ping'"),
    ],
)
def test_a_malformed_message_is_answered_and_the_stream_goes_on(
    gateway: GatewayProcess, ring: StreamWriter, message: Any, words: str
) -> None:
    with browser(gateway) as page:
        page.hear_until("stream")
        page.hear()
        page.say(message)
        assert re.search(words, page.hear_until("error")["message"])
        ring.write_block(1, block(0))
        page.hear_records(1)


def test_a_slow_reader_is_told_what_it_missed(gateway: GatewayProcess, tmp_path: Path) -> None:
    wide = StreamSpec(
        "wide",
        "samples",
        tuple(Channel(f"c{n}", "float32") for n in range(256)),
        sample_rate=Fraction(4000),
    )
    rows = np.zeros((1000, 256), np.float32)
    total = 80
    with (
        StreamWriter.create(gateway.rings, wide, capacity_bytes=8 << 20) as writer,
        browser(gateway, "wide", max_queue=1) as slow,
    ):
        slow.hear_until("stream")
        for n in range(total):
            writer.write_block(n * 250_000_000, rows)
        seen = lost = 0
        while seen + lost < total:
            told = slow.hear()
            if told is not None and told["type"] == "lost":
                lost += told["records"]
                assert told["rows"] == 1000 * told["records"]
            seen += told is not None and told["type"] == "record"
        assert slow.told[-1]["sequence"] == total - 1
    assert lost > 0
    for file in gateway.rings.iterdir():
        file.unlink()


def test_a_new_generation_is_a_new_arrow_stream(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    with browser(gateway) as page:
        page.hear_until("stream")
        ring.write_block(1, block(0))
        page.hear_records(1)
        ring.close()
        with StreamWriter.create(gateway.rings, EEG, capacity_bytes=1 << 20) as second:
            second.write_block(2, block(9))
            assert page.hear_until("stream")["generation"] == second.generation
            page.binary.clear()
            page.hear_records(1)
    assert np.array_equal(values_of(page.table()), block(9).ravel())


def test_a_stream_that_is_not_there_is_refused_with_words(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    with browser(gateway, "eeg.filterd") as page:
        assert "eeg.filtered" in page.hear_until("error")["message"]
        with pytest.raises(ConnectionClosed) as closed:
            page.hear()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404


def test_the_stream_of_a_run_ends_with_it(gateway: GatewayProcess) -> None:
    state = "running"
    gateway.daemon.methods["runs.status"] = lambda run_id: run_of(run_id, state=state)
    spec = StreamSpec("run.r1", "rows", (Channel("peak", "float64"),))
    with (
        StreamWriter.create(gateway.rings, spec, capacity_bytes=1 << 16) as writer,
        browser(gateway, "run.r1") as page,
    ):
        page.hear_until("stream")
        writer.append(1, 1.0)
        writer.close()
        state = "completed"
        page.hear_records(1)
        with pytest.raises(ConnectionClosed) as closed:
            page.hear()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000
    for file in gateway.rings.iterdir():
        file.unlink()


@pytest.mark.parametrize("query", ["?max_rate_hz=0", "?max_rate_hz=x", "?rate=3"])
def test_a_wrong_address_is_refused_with_words(
    gateway: GatewayProcess, ring: StreamWriter, query: str
) -> None:
    with browser(gateway, query=query) as page:
        assert "max_rate_hz" in page.hear_until("error")["message"]


@pytest.mark.parametrize(
    ("headers", "subprotocols", "status"),
    [
        ({}, [], 401),
        ({"Authorization": "Bearer wrong"}, [], 401),
        ({}, ["ringdaq.v1", "ringdaq.token.wrong"], 401),
        ({**BEARER, "Origin": "https://example.org"}, [], 403),
        ({**BEARER, "Origin": "null"}, [], 403),
        ({**BEARER, "Origin": "http://localhost.example.org"}, [], 403),
    ],
)
def test_strangers_stay_outside(
    gateway: GatewayProcess, headers: dict[str, str], subprotocols: list[Any], status: int
) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        browser(gateway, additional_headers=headers, subprotocols=subprotocols or None),
    ):
        pass
    assert refused.value.response.status_code == status


def test_a_page_of_this_machine_comes_in_with_its_token_as_a_subprotocol(
    gateway: GatewayProcess, ring: StreamWriter
) -> None:
    offers: Any = ["ringdaq.v1", f"ringdaq.token.{TOKEN}"]
    headers = {"Origin": "http://localhost:5173"}
    with browser(gateway, additional_headers=headers, subprotocols=offers) as page:
        assert page.connection.subprotocol == "ringdaq.v1"
        page.hear_until("stream")


def test_many_pages_see_the_same(gateway: GatewayProcess, ring: StreamWriter) -> None:
    with browser(gateway) as one, browser(gateway) as two:
        one.hear_until("stream")
        two.hear_until("stream")
        for n in range(10):
            ring.write_block(n, block(n))
        one.hear_records(10)
        two.hear_records(10)
    assert one.binary == two.binary
