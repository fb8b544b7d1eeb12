"""The control socket's wire: how local processes talk to the daemon.

A message is a 4-byte little-endian length and a msgpack map.

- request: `{"id": int, "method": str, "params": {...}}`
- a request that nobody waits for any more: `{"withdraw": int}`, its id; it is answered all the same
- reply: `{"id": int, "result": ...}` or `{"id": int, "error": {"class", "message", "details"}}`
- event, from the daemon at any time: `{"event": str, "params": {...}}`
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from ringdaq.errors import BadRequestError, DaemonUnreachableError, ServiceError, from_wire

MAX_MESSAGE_BYTES = 64 << 20
_LENGTH = struct.Struct("<I")
Message = dict[str, Any]


def encode(message: Mapping[str, Any]) -> bytes:
    """One message as bytes; refuses what is too long for the other end."""
    body: bytes = msgpack.packb(message, use_bin_type=True)
    if len(body) > MAX_MESSAGE_BYTES:
        raise BadRequestError(
            f"a control message may have {MAX_MESSAGE_BYTES} bytes; found {len(body)}"
        )
    return _LENGTH.pack(len(body)) + body


def decode(body: bytes | memoryview) -> Message:
    """The message that `encode` made of the bytes after the length."""
    try:
        message = msgpack.unpackb(body, raw=False, strict_map_key=False)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise BadRequestError(f"a control message must be msgpack; found {error}") from error
    if not isinstance(message, dict):
        raise BadRequestError(f"a control message must be a map; found {type(message).__name__}")
    return message


def check_length(length: int) -> int:
    """Refuse a length that no honest peer sends."""
    if not 0 < length <= MAX_MESSAGE_BYTES:
        raise BadRequestError(
            f"a control message may have 1 to {MAX_MESSAGE_BYTES} bytes; found {length}"
        )
    return length


class Channel:
    """Whole messages over a connected stream socket; one thread may send while another receives."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()

    def fileno(self) -> int:
        return self._sock.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message; raises `OSError` when the peer is gone."""
        data = encode(message)
        with self._sending:
            self._sock.sendall(data)

    def receive(self) -> Message | None:
        """The next message, or `None` when the peer has closed."""
        head = self._exactly(_LENGTH.size)
        if head is None:
            return None
        body = self._exactly(check_length(_LENGTH.unpack(head)[0]))
        return None if body is None else decode(body)

    def _exactly(self, count: int) -> bytes | None:
        data = self._sock.recv(count)
        if len(data) == count:
            return data
        parts = bytearray(data)
        while data and len(parts) < count:
            data = self._sock.recv(min(count - len(parts), 1 << 20))
            parts += data
        return bytes(parts) if len(parts) == count else None

    def close(self) -> None:
        """Hang up; a thread that waits in `receive` gets `None`."""
        with contextlib.suppress(OSError):  # the peer was faster
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


def connect_socket(path: str | os.PathLike[str], timeout: float = 5.0) -> socket.socket:
    """Connect to the daemon's control socket."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    try:
        sock.connect(os.fspath(path))
    except OSError as error:
        sock.close()
        raise DaemonUnreachableError(
            f"a daemon should answer on its control socket, found: {error.strerror}; "
            f"start one with 'ringdaq daemon' ({os.fspath(path)})"
        ) from error
    sock.settimeout(None)
    return sock


class ControlClient:
    """A blocking client of the control socket; any thread may call."""

    def __init__(
        self,
        sock: socket.socket,
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> None:
        self._channel = Channel(sock)
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, queue.SimpleQueue[Message | None]] = {}
        self._lock = threading.Lock()
        self.closed = threading.Event()
        """Set when the daemon has hung up, or `close` was called."""
        self._reader = threading.Thread(target=self._read, name="control-client", daemon=True)
        self._reader.start()

    @classmethod
    def connect(
        cls,
        path: str | os.PathLike[str],
        on_event: Callable[[str, dict[str, Any]], None] | None = None,
    ) -> ControlClient:
        """Connect to the socket at `path`."""
        return cls(connect_socket(path), on_event)

    def call(
        self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float = 30.0
    ) -> Any:
        """Ask the daemon; returns its result or raises the error it raised."""
        reply_box: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        number = next(self._ids)
        with self._lock:
            if self.closed.is_set():
                raise DaemonUnreachableError("the daemon has closed the control connection")
            self._waiting[number] = reply_box
        try:
            self._channel.send({"id": number, "method": method, "params": dict(params or {})})
            reply = reply_box.get(timeout=timeout)
        except queue.Empty:
            raise ServiceError(
                f"the daemon did not answer {method!r} within {timeout:g} s"
            ) from None
        except OSError as error:
            raise DaemonUnreachableError(f"the control connection broke: {error}") from error
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if reply is None:
            raise DaemonUnreachableError(f"the daemon hung up while it worked on {method!r}")
        if "error" in reply:
            raise from_wire(reply["error"])
        return reply.get("result")

    def close(self) -> None:
        """Hang up."""
        self._channel.close()

    def _read(self) -> None:
        try:
            while (message := self._channel.receive()) is not None:
                self._deliver(message)
        except (OSError, BadRequestError):
            pass  # told to every waiting caller below
        with self._lock:
            self.closed.set()
            waiting = list(self._waiting.values())
        for box in waiting:
            box.put(None)

    def _deliver(self, message: Message) -> None:
        if "event" in message:
            if self._on_event is not None:
                self._on_event(message["event"], message.get("params", {}))
            return
        with self._lock:
            box = self._waiting.get(message.get("id", 0))
        if box is not None:
            box.put(message)
