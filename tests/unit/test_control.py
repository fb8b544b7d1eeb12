"""Whole messages over a stream, however it cuts them."""

import socket
import threading

import pytest

from ringdaq.control import MAX_MESSAGE_BYTES, Channel, encode
from ringdaq.errors import BadRequestError


@pytest.fixture
def ends():
    one, other = socket.socketpair()
    with one, other:
        yield one, Channel(other)


def send_slowly(sock, data, size):
    for at in range(0, len(data), size):
        sock.sendall(data[at : at + size])
    sock.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1000])
def test_messages_come_whole_and_in_order_whatever_the_pieces(ends, size):
    sock, channel = ends
    messages = [{"id": n, "params": {"text": "x" * (n * 7)}} for n in range(20)]
    data = b"".join(map(encode, messages))
    sender = threading.Thread(target=send_slowly, args=(sock, data, size))
    sender.start()
    received = list(iter(channel.receive, None))
    sender.join()
    assert received == messages


def test_a_message_larger_than_a_piece_comes_whole(ends):
    sock, channel = ends
    large = {"id": 1, "result": b"y" * (3 << 20)}
    sender = threading.Thread(target=send_slowly, args=(sock, encode(large), 1 << 20))
    sender.start()
    assert channel.receive() == large
    assert channel.receive() is None
    sender.join()


def test_half_a_message_is_none(ends):
    sock, channel = ends
    sock.sendall(encode({"id": 1})[:-1])
    sock.shutdown(socket.SHUT_WR)
    assert channel.receive() is None


@pytest.mark.parametrize("length", [0, MAX_MESSAGE_BYTES + 1, 2**32 - 1])
def test_a_length_that_no_honest_peer_sends_is_refused_before_the_body(ends, length):
    sock, channel = ends
    sock.sendall(length.to_bytes(4, "little"))
    with pytest.raises(BadRequestError, match="bytes"):
        channel.receive()
