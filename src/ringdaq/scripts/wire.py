"""Messages between a script's process and its parent: the control socket's framing.

From the child:

- `{"id", "method": "verb" | "emit" | "sleep", "params": [...]}`, answered by
  `{"id", "result"}`, `{"id", "error"}`, or `{"id"}` alone where a stop came first
- `{"event": "output", "data", "level", "line"}`, `{"event": "limit", "error"}`,
  `{"event": "done", ...}`

A request carries `closing` when the script is tidying up.
From the parent comes one `{"event": "start", ...}` before all.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Mapping
from typing import Any

import msgpack

from ringdaq.control import Message, decode
from ringdaq.errors import BadRequestError

MAX_MESSAGE_BYTES = 4 << 20
"""A script's source and parameters fit, and a burst of output."""
_CHUNK = 1 << 16


def plain(value: object) -> object:
    """What msgpack does not know: numpy's numbers and arrays become Python's."""
    if isinstance(value, int):
        raise TypeError(
            f"a whole number must fit in 64 bits; found one of {value.bit_length()} bits"
        )
    to_list = getattr(value, "tolist", None)
    if to_list is None:
        raise TypeError(f"a {type(value).__name__!r} is not a plain value")
    return to_list()


class PeerGoneError(Exception):
    """The process at the other end has hung up."""


class Wire:
    """Whole messages over one end of the socketpair; one thread receives, any may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._received = bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises `PeerGoneError`, or `TypeError`, `ValueError` or `OverflowError`
        when a value cannot travel; then nothing was sent.
        """
        body: bytes = msgpack.packb(message, use_bin_type=True, default=plain)
        if len(body) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message may have {MAX_MESSAGE_BYTES} bytes; found {len(body)}")
        try:
            with self._sending:
                self._sock.sendall(len(body).to_bytes(4, "little") + body)
        except OSError as error:
            raise PeerGoneError(str(error)) from error

    def receive(self) -> Message | None:
        """The next message, or `None` when the peer is gone."""
        while (message := self._whole()) is None:
            try:
                data = self._sock.recv(_CHUNK)
            except OSError:
                return None
            if not data:
                return None
            self._received += data
        return message

    def _whole(self) -> Message | None:
        buffer = self._received
        if len(buffer) < 4:
            return None
        end = 4 + int.from_bytes(buffer[:4], "little")
        if end > MAX_MESSAGE_BYTES + 4:
            raise BadRequestError(
                f"a script's message may have {MAX_MESSAGE_BYTES} bytes; found {end - 4}"
            )
        if len(buffer) < end:
            return None
        message = decode(bytes(buffer[4:end]))
        del buffer[:end]
        return message

    def hang_up(self) -> None:
        """End both directions; whoever waits in `receive` gets `None`."""
        with contextlib.suppress(OSError):  # the peer was faster
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back."""
        self._sock.close()
