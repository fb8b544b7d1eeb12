"""A recording's documents over the network: JSON that any reader takes, numbers for Python."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_daemon import TOKEN, GatewayProcess
from history_stand import HistoryStand

import ringdaq
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter
from ringdaq.v1 import catalogue_pb2, catalogue_pb2_grpc

METER = StreamSpec("meter", "rows", (Channel("power", "float64"), Channel("note", "string")))
POWERS = [1.5, math.nan, math.inf, -math.inf, None]
NOTES = ["NaN", "Infinity", "", "x", "y"]


@pytest.fixture
def gateway(tmp_path: Path, ring_directory: Path) -> Iterator[GatewayProcess]:
    stand = HistoryStand(ring_directory, tmp_path)
    with StreamWriter.create(ring_directory, METER, capacity_bytes=1 << 16) as meter:
        for second, row in enumerate(zip(POWERS, NOTES, strict=True)):
            meter.append(second * 1_000_000_000, *row)
        file = stand.save(meter, "odd")
    stand.close()
    (tmp_path / "gateway").mkdir()
    process = GatewayProcess(tmp_path / "gateway")
    process.daemon.methods["catalogue.get"] = lambda run: {"file": str(file)}
    yield process
    process.close()


def no_json(word: str) -> Any:
    raise AssertionError(f"{word} is no JSON")


def test_numbers_that_json_lacks_are_strings_there_and_numbers_in_python(
    gateway: GatewayProcess,
) -> None:
    with grpc.insecure_channel(gateway.address) as channel:
        sent = catalogue_pb2_grpc.CatalogueServiceStub(channel).StreamDocuments(
            catalogue_pb2.StreamDocumentsRequest(run="odd"),
            metadata=(("authorization", f"Bearer {TOKEN}"),),
        )
        documents = [(m.name, json.loads(m.json, parse_constant=no_json)) for m in sent]
    (page,) = [document for name, document in documents if name == "event_page"]
    assert page["data"]["power"] == [1.5, "NaN", "Infinity", "-Infinity", None]
    with ringdaq.connect(gateway.address, TOKEN) as client:
        (page,) = [document for name, document in client.documents("odd") if name == "event_page"]
    assert list(map(repr, page["data"]["power"])) == list(map(repr, POWERS))
    assert page["data"]["note"] == NOTES
