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
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from ringdaq.control import Message, decode
from ringdaq.errors import BadRequestError

MAX_MESSAGE_BYTES = 4 << 20
"""A script's source and parameters fit, and a burst of output."""
_CHUNK = 1 << 16
_PACK_BYTES = 1 << 12
# Longer than the other end takes to be woken and to carry out a quick verb: else two ends that have
# once gone to sleep would look in vain for ever after.
_LOOK_NANOS = 150_000
# Who looks in vain, again and again, does so for one message in thirty-two at last.
_MOST_UNLOOKED = 31


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


ReceiveSoon = Callable[[int, int], bytes | memoryview | None]
"""What comes to a descriptor within so many nanoseconds; empty at its end, `None` if nothing."""


class PeerGoneError(Exception):
    """The process at the other end has hung up."""


class Wire:
    """Whole messages over one end of the socketpair; one thread receives, any may send.

    Waking a sleeping process takes longer than most verbs do. So the next message is looked for a
    little while before the receiver goes to sleep, unless that was in vain: then the other end is
    slow, or has no processor to itself, and the more often it was in vain the longer nobody looks.
    """

    def __init__(self, sock: socket.socket, receive_soon: ReceiveSoon | None = None) -> None:
        """`receive_soon` looks for bytes, the core's own way of it, where the core is loaded."""
        self._sock, self._fd = sock, sock.fileno()
        self._receive_soon: ReceiveSoon = receive_soon or self._look_again
        self._sending = threading.Lock()
        self._pack = msgpack.Packer(use_bin_type=True, default=plain, buf_size=_PACK_BYTES).pack
        self._room = memoryview(bytearray(_CHUNK))
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self._received = bytearray()
        # Alone on a processor, looking would only keep the other end from answering.
        self._look_nanos = _LOOK_NANOS if len(os.sched_getaffinity(0)) > 1 else 0
        self._in_vain = self._unlooked = 0

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises `PeerGoneError`, or `TypeError`, `ValueError` or `OverflowError`
        when a value cannot travel; then nothing was sent.
        """
        with self._sending:
            body: bytes = self._pack(message)
            size = len(body)
            if size > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message may have {MAX_MESSAGE_BYTES} bytes; found {size}")
            try:
                self._sock.sendall(size.to_bytes(4, "little") + body)
            except OSError as error:
                raise PeerGoneError(str(error)) from error

    def receive(self) -> Message | None:
        """The next message, or `None` when the peer is gone."""
        while True:
            if self._received and (message := self._whole()) is not None:
                return message
            try:
                piece = self._take()
            except OSError:
                return None
            if not piece:
                return None
            if not self._received and len(piece) - 4 == int.from_bytes(piece[:4], "little"):
                return decode(piece[4:])
            self._received += piece

    def _take(self) -> bytes | memoryview:
        """What has come, whenever it comes; nothing at the end."""
        if self._unlooked > 0:
            self._unlooked -= 1
        elif (piece := self._receive_soon(self._fd, self._look_nanos)) is not None:
            self._in_vain = 0
            return piece
        else:
            self._in_vain = min(2 * self._in_vain + 1, _MOST_UNLOOKED)
            self._unlooked = self._in_vain
        return self._room[: self._sock.recv_into(self._room)]

    def _look_again(self, _fd: int, patience_nanos: int) -> memoryview | None:
        """What comes within a little while, without going to sleep."""
        # To ask whether something is there costs less than to fail to receive it.
        there, now, give_way = self._poll.poll, time.monotonic_ns, os.sched_yield
        until = now() + patience_nanos
        while not there(0):
            give_way()  # to whoever waits for this processor
            if now() >= until:
                return None
        return self._room[: self._sock.recv_into(self._room)]

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
