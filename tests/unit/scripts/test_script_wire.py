"""Messages come whole over a socketpair, whichever way the receiver looks for them."""

from __future__ import annotations

import os
import socket
import threading

import pytest
import ringdaq_core as core

from ringdaq.scripts.wire import PeerGoneError, Wire

SHORT = 1_000
LONG = 60_000_000_000


@pytest.fixture(params=[None, core.receive_soon], ids=["by Python", "by the core"])
def pair(request):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours, request.param), theirs


def framed(*bodies: bytes) -> bytes:
    return b"".join(len(body).to_bytes(4, "little") + body for body in bodies)


def test_messages_of_any_size_come_in_their_order(pair):
    wire, theirs = pair
    sent = [{"n": n, "text": "x" * size} for n, size in enumerate((0, 10, 4096, 300_000, 1))]
    sender = threading.Thread(target=lambda: [Wire(theirs).send(one) for one in sent])
    sender.start()
    assert [wire.receive() for _ in sent] == sent
    sender.join()


def test_a_message_in_pieces_and_two_in_one_piece(pair):
    wire, theirs = pair
    data = framed(b"\x81\xa1a\x01", b"\x81\xa1b\x02")
    theirs.sendall(data[:3])
    threading.Timer(0.05, theirs.sendall, [data[3:]]).start()
    assert [wire.receive(), wire.receive()] == [{"a": 1}, {"b": 2}]


def test_the_end_is_told_and_nothing_can_be_sent_then(pair):
    wire, theirs = pair
    theirs.close()
    assert wire.receive() is None
    with pytest.raises(PeerGoneError):
        wire.send({"a": 1})


def test_the_core_tells_nothing_from_the_end_and_from_an_error():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert core.receive_soon(ours.fileno(), SHORT) is None
        theirs.sendall(b"abc")
        assert core.receive_soon(ours.fileno(), SHORT) == b"abc"
        threading.Timer(0.05, theirs.sendall, [b"later"]).start()
        assert core.receive_soon(ours.fileno(), LONG) == b"later"
        theirs.close()
        assert core.receive_soon(ours.fileno(), LONG) == b""
    reader, writer = os.pipe()
    with pytest.raises(OSError, match="socket"):
        core.receive_soon(reader, SHORT)
    os.close(reader)
    os.close(writer)
