"""A control server with canned answers, for commands that talk to a daemon."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ringdaq.control import Channel
from ringdaq.errors import RingdaqError, to_wire

Answer = Callable[[dict[str, Any]], Any]


class FakeDaemon:
    """Serves `answers` by method on a socket in `state`, and keeps what was asked."""

    def __init__(self, state: Path, answers: dict[str, Answer]) -> None:
        self.answers = {"hello": lambda _params: {}, **answers}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        path = state / "control.sock"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        card = {
            "pid": 1,
            "version": "0",
            "control_socket": str(path),
            "ring_directory": str(state),
            "data_directory": str(state),
            "grpc_address": "",
            "token_file": str(state / "token"),
        }
        (state / "daemon.json").write_text(json.dumps(card))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(Channel(sock),), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, channel: Channel) -> None:
        while (message := channel.receive()) is not None:
            self.asked.append((message["method"], message["params"]))
            try:
                reply = {"result": self.answers[message["method"]](message["params"])}
            except RingdaqError as error:
                reply = {"error": to_wire(error)}
            channel.send({"id": message["id"], **reply})
        channel.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@contextmanager
def serving(state: Path, answers: dict[str, Answer]) -> Iterator[FakeDaemon]:
    daemon = FakeDaemon(state, answers)
    try:
        yield daemon
    finally:
        daemon.close()
