"""Rings that are removed are let go of, and others in their place are noticed."""

from __future__ import annotations

import gc
import weakref

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.history import RingHistories

START = 1_700_000_000_000_000_000


def write(directory, stream, *values):
    """A ring of a stream, with these values; returns its file."""
    spec = StreamSpec(stream, "rows", (Channel("x", "int64"),))
    with StreamWriter.create(directory, spec, capacity_bytes=1 << 16) as writer:
        for n, value in enumerate(values):
            writer.append(START + n, value)
        return writer.path


def values_of(history):
    return history.rows(*history.source.held()).columns["x"][:, 0].tolist()


def test_a_removed_ring_is_let_go_of_whichever_stream_is_asked_for_next(ring_directory):
    histories = RingHistories(ring_directory)
    removed, left = write(ring_directory, "first", 1), write(ring_directory, "second", 2)
    gone = weakref.ref(histories.of("first")[0])
    (kept,) = histories.of("second")
    removed.unlink()
    assert histories.of("second") == [kept]
    gc.collect()
    assert gone() is None
    assert left.exists()


def test_another_ring_in_the_place_of_a_removed_one_is_noticed(ring_directory):
    histories = RingHistories(ring_directory)
    path = write(ring_directory, "meter", 1, 2)
    assert [values_of(one) for one in histories.of("meter")] == [[1, 2]]
    elsewhere = ring_directory / "elsewhere"
    elsewhere.mkdir()
    write(elsewhere, "meter", 3).rename(path)
    assert [values_of(one) for one in histories.of("meter")] == [[3]]


def test_a_ring_that_is_removed_while_it_is_opened_is_left_out(ring_directory, monkeypatch):
    histories = RingHistories(ring_directory)
    first, second = (write(ring_directory, "meter", n) for n in (1, 2))
    opened = StreamReader.open

    def removed_before(path):
        first.unlink(missing_ok=True)
        return opened(path)

    monkeypatch.setattr(StreamReader, "open", removed_before)
    assert [one.source.reader.path for one in histories.of("meter")] == [second]
