"""A pipeline's result in a browser: its stream through the gateway's WebSocket."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
from pipeline_stand import Pipelines
from websockets.sync.client import connect

from ringdaq.model import StreamSpec

PATIENCE_SECS = 60.0
TEXT = """
[pipeline.clean]
[[pipeline.clean.stage]]
type = "simulated_eeg"
channels = 4
rate_hz = 500
[[pipeline.clean.stage]]
type = "to_voltage"
[[pipeline.clean.stage]]
type = "websocket_sink"
stream = "shown"
"""


def test_a_websocket_sink_is_a_stream_that_the_gateway_serves(start_daemon: Any) -> None:
    pipelines = Pipelines(start_daemon(more=TEXT, gateway=True))
    pipelines.await_rows("shown", 1)
    card = pipelines.daemon.card
    assert card["websocket_address"] == pipelines.control.call("info")["websocket_address"]
    token = (pipelines.daemon.state / "token").read_text().strip()
    address = f"ws://{card['websocket_address']}/v1/streams/shown"
    headers = {"Authorization": f"Bearer {token}"}
    with connect(address, additional_headers=headers, open_timeout=PATIENCE_SECS) as socket:
        told = json.loads(socket.recv(timeout=PATIENCE_SECS))
        binary = [socket.recv(timeout=PATIENCE_SECS)]
        records = []
        while len(records) < 10:
            records.append(json.loads(socket.recv(timeout=PATIENCE_SECS)))
            binary.append(socket.recv(timeout=PATIENCE_SECS))
    spec = StreamSpec.from_dict(told["spec"])
    assert (spec.name, spec.sample_rate, spec.simulated) == ("shown", 500, True)
    assert {c.unit for c in spec.channels} == {"V"}
    assert spec.metadata["pipeline"] == "clean"
    numbers = [record["sequence"] for record in records]
    assert numbers == list(range(numbers[0], numbers[0] + 10))
    table = pa.ipc.open_stream(b"".join(binary)).read_all()
    assert table.num_rows == sum(record["rows"] for record in records)
    values = np.concatenate([np.asarray(chunk.flatten()) for chunk in table["samples"].chunks])
    assert 1e-6 < values.std() < 1e-4
