"""A gateway that is told to end leaves its ports to the next one, whatever its clients do."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_daemon import DEADLINE_SECS, TOKEN, GatewayProcess
from websockets.sync.client import connect

import ringdaq
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

FRAMES = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(512, 1024)),))
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path)
    yield process
    process.close()


def test_a_page_that_does_not_read_keeps_no_port(gateway: GatewayProcess) -> None:
    address = f"ws://{gateway.daemon.websocket_address}/v1/streams/{FRAMES.name}"
    port = int(gateway.address.rpartition(":")[2])
    with (
        StreamWriter.create(gateway.rings, FRAMES, capacity_bytes=64 << 20) as writer,
        connect(address, additional_headers=BEARER, max_queue=1, close_timeout=0) as suspended,
    ):
        suspended.recv(DEADLINE_SECS)
        for n in range(20):
            writer.write_frame(n, np.zeros((512, 1024), np.uint16))
        first = gateway.process
        first.send_signal(signal.SIGTERM)
        gateway.daemon.ready.clear()
        with (gateway.directory / "next.log").open("wb") as log:
            gateway.process = subprocess.Popen(gateway.command(port), stderr=log)
        came = gateway.daemon.ready.wait(DEADLINE_SECS)
        assert came, (gateway.directory / "next.log").read_text()
        assert first.wait(DEADLINE_SECS) == 0
        with ringdaq.connect(f"127.0.0.1:{port}", TOKEN) as client:
            assert client.info().rig == "demo"
