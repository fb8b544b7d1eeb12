"""LSL in and out, against pylsl at the other end, which has a liblsl of its own."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import pylsl
import pytest
from pipeline_kit import ListFeed, form, site, view

from ringdaq.clock import boot_anchor, now_nanos
from ringdaq.errors import BadRequestError, NotConnectedError, StreamError
from ringdaq.pipeline.lsl import lsl_secs
from ringdaq.pipeline.sinks.lsl_outlet import LslOutlet
from ringdaq.pipeline.sources.lsl_inlet import LslInlet

PATIENCE_SECS = 20.0


@pytest.fixture
def name() -> str:
    return f"ringdaq-test-{uuid.uuid4().hex}"


@contextmanager
def outlet(name: str, format: Any, **options: Any) -> Iterator[LslOutlet]:
    sink = LslOutlet(LslOutlet.Options(stream=name, **options), site())
    sink.open(format)
    try:
        yield sink
    finally:
        sink.close()


@contextmanager
def pylsl_inlet(name: str) -> Iterator[pylsl.StreamInlet]:
    (found,) = pylsl.resolve_byprop("name", name, timeout=PATIENCE_SECS)
    inlet = pylsl.StreamInlet(found)
    inlet.open_stream(timeout=PATIENCE_SECS)
    try:
        yield inlet
    finally:
        inlet.close_stream()


def described(
    name: str, *, units: str = "", dtype: Any = pylsl.cf_float32, rate: float = 250.0, kind="EEG"
) -> pylsl.StreamInfo:
    info = pylsl.StreamInfo(name, kind, 3, rate, dtype, f"id-{name}")
    channels = info.desc().append_child("channels")
    for label in ("Fz", "Cz", "Pz"):
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        if units:
            channel.append_child_value("unit", units)
    return info


def inlet(name: str, **options: Any) -> LslInlet:
    return LslInlet(LslInlet.Options(**{"stream": name, "samples": 10, **options}), site())


@contextmanager
def running(source: LslInlet, feed: ListFeed) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=source.run, args=(feed,))
    thread.start()
    try:
        yield thread
    finally:
        feed.stop()
        thread.join(PATIENCE_SECS)
        source.close()
    assert not thread.is_alive()


def pulled(stream: pylsl.StreamInlet, count: int) -> tuple[Any, Any]:
    samples: list[Any] = []
    stamps: list[float] = []
    deadline = time.monotonic() + PATIENCE_SECS
    while len(samples) < count and time.monotonic() < deadline:
        more, at = stream.pull_chunk(timeout=0.2, max_samples=count - len(samples))
        samples += more
        stamps += at
    return np.array(samples), np.array(stamps)


def wait_for(thread: threading.Thread) -> None:
    thread.join(PATIENCE_SECS)
    assert not thread.is_alive()


def test_another_library_reads_the_outlet_exactly(name: str) -> None:
    format = form("filtered", rate=Fraction(3000), simulated=True)
    values = np.random.default_rng(1).standard_normal((16, 3)).astype(np.float32) * 1e-5
    origin = now_nanos()
    with outlet(name, format) as sink, pylsl_inlet(name) as reader:
        info = reader.info(timeout=PATIENCE_SECS)
        assert (info.type(), info.nominal_srate(), info.channel_count()) == ("EEG", 3000, 3)
        assert info.source_id() == f"ringdaq.{name}"
        assert info.get_channel_labels() == ["E1", "E2", "E3"]
        assert info.get_channel_units() == ["microvolts"] * 3
        assert info.get_channel_types() == ["EEG"] * 3
        assert info.desc().child("acquisition").child_value("simulated") == "true"
        for first in (0, 8):
            sink.take(view(values[first : first + 8], format, origin, first))
        found, stamps = pulled(reader, 16)
    assert np.array_equal(found, (values.astype(np.float64) * 1e6).astype(np.float32))
    exact = [lsl_secs(origin + n * 10**9 // 3000) for n in range(16)]
    np.testing.assert_allclose(stamps, exact, rtol=0, atol=1e-9)


def test_counts_go_out_as_microvolts_and_single_samples_at_once(name: str) -> None:
    format = form("raw", scale=4.5 / 24 / 2**23)
    with outlet(name, format, source_id="cap-7") as sink, pylsl_inlet(name) as reader:
        assert reader.info(timeout=PATIENCE_SECS).source_id() == "cap-7"
        sink.take(view(np.array([[2**23 - 1, -(2**23), 1]], np.int32), format, now_nanos()))
        found, _ = pulled(reader, 1)
    assert found[0] == pytest.approx([187_500, -187_500, 0.02235174], rel=1e-6)


def test_who_comes_late_learns_labels_and_units_first(name: str) -> None:
    format = form()
    with outlet(name, format) as sink:
        for first in range(0, 80, 8):
            sink.take(view(np.ones((8, 3)), format, now_nanos(), first))
        with pylsl_inlet(name) as late:
            info = late.info(timeout=PATIENCE_SECS)
            assert info.get_channel_labels() == ["E1", "E2", "E3"]
            assert info.get_channel_units() == ["microvolts"] * 3
            sink.take(view(np.full((8, 3), 2e-6), format, now_nanos(), 80))
            found, _ = pulled(late, 8)
    assert (found == 2).all()


def test_the_inlet_gets_what_another_library_sent_on_this_machines_clock(name: str) -> None:
    sender = pylsl.StreamOutlet(described(name, units="microvolts"))
    source, feed = inlet(name, source_id=f"id-{name}", stream_type="EEG"), ListFeed(enough=50)
    form = source.format()
    assert (form.kind, form.rate, form.samples, form.simulated) == ("voltage", 250, 10, False)
    assert [(c.name, c.unit) for c in form.channels] == [("Fz", "V"), ("Cz", "V"), ("Pz", "V")]
    values = np.random.default_rng(2).standard_normal((50, 3)).astype(np.float32) * 20
    start = pylsl.local_clock()
    with running(source, feed) as thread:
        for first in range(0, 50, 25):
            sender.push_chunk(values[first : first + 25].tolist(), start + (first + 24) / 250)
        wait_for(thread)
    assert np.array_equal(feed.samples, (values * np.float64(1e-6)).astype(np.float32))
    first = round(start * 1e9) + boot_anchor()
    exact = [first + n * 4_000_000 for n in range(50)]
    assert np.abs(np.array(feed.times(form.rate)) - exact).max() <= 1000
    assert source.statistics() == {"gaps": 0, "lost_samples": 0, "moved": 0}


@pytest.mark.parametrize(
    ("dtype", "sent", "values"),
    [(pylsl.cf_string, ["left", "7"], [0.0, 7.0]), (pylsl.cf_int32, [3, 4], [3.0, 4.0])],
)
def test_markers_of_another_stream_become_triggers(
    name: str, dtype: Any, sent: list[Any], values: list[float]
) -> None:
    sender = pylsl.StreamOutlet(described(name))
    info = pylsl.StreamInfo(f"{name}-markers", "Markers", 1, 0.0, dtype, f"id-{name}-markers")
    marker = pylsl.StreamOutlet(info)
    source, feed = inlet(name, markers=f"{name}-markers"), ListFeed()
    source.format()
    start = pylsl.local_clock()
    with running(source, feed):
        for number, value in enumerate(sent):
            marker.push_sample([value], start + number)
        deadline = time.monotonic() + PATIENCE_SECS
        while len(feed.marks) < len(sent):
            sender.push_chunk([[0.0] * 3] * 10)
            assert time.monotonic() < deadline
    assert [value for _, _, value in feed.marks] == values
    exact = [round((start + n) * 1e9) + boot_anchor() for n in range(2)]
    assert np.abs(np.array([nanos for nanos, _, _ in feed.marks]) - exact).max() <= 1000


def test_markers_that_nobody_sends_are_missed_at_the_start(name: str) -> None:
    _sender = pylsl.StreamOutlet(described(name))
    source = inlet(name, markers=f"{name}-markers", timeout_secs=3.0)
    with pytest.raises(NotConnectedError, match=r"markers .* found 0 within 3 s"):
        source.format()
    source.close()


def test_whole_numbers_of_one_unit_stay_counts(name: str) -> None:
    sender = pylsl.StreamOutlet(described(name, units="uV", dtype=pylsl.cf_int32))
    source, feed = inlet(name), ListFeed(enough=10)
    form = source.format()
    assert form.kind == "raw"
    assert {(c.unit, c.scale) for c in form.channels} == {("V", 1e-6)}
    values = [[-(2**31), n, 2**31 - 1] for n in range(10)]
    with running(source, feed) as thread:
        sender.push_chunk(values)
        wait_for(thread)
    assert feed.samples.tolist() == values


def test_a_unit_that_nobody_says_is_not_invented_and_can_be_given(name: str) -> None:
    _sender = pylsl.StreamOutlet(described(name))
    for options, unit in (({}, ""), ({"unit": "uV"}, "V")):
        source = inlet(name, **options)
        assert {c.unit for c in source.format().channels} == {unit}
        source.close()


def test_samples_that_never_came_are_counted_and_begin_a_new_stretch(name: str) -> None:
    sender = pylsl.StreamOutlet(described(name, units="V"))
    source, feed = inlet(name), ListFeed(enough=20)
    form = source.format()
    start = pylsl.local_clock()
    with running(source, feed) as thread:
        for first, stamp in ((0, 0), (1, 35)):
            sender.push_chunk([[first, 0, 0]] * 10, start + (stamp + 9) / 250)
        wait_for(thread)
    assert source.statistics() == {"gaps": 1, "lost_samples": 25, "moved": 0}
    assert feed.places[1][1] == 0
    times = feed.times(form.rate)
    assert times[10] - times[0] == pytest.approx(35 * 4_000_000, abs=1000)


def test_what_ringdaq_sends_ringdaq_takes_unchanged(name: str) -> None:
    rate = Fraction(16_000, 3)
    format = form("voltage", rate=rate, simulated=True)
    source, feed = inlet(name), ListFeed(enough=40)
    values = np.random.default_rng(3).standard_normal((40, 3)).astype(np.float32)
    origin = now_nanos()
    with outlet(name, format) as sink:
        found = source.format()
        assert (found.rate, found.simulated) == (rate, True)
        assert found.channels == format.channels
        with running(source, feed) as thread:
            for first in range(0, 40, 8):
                sink.take(view(values[first : first + 8], format, origin, first))
            wait_for(thread)
    np.testing.assert_allclose(feed.samples, values, rtol=1e-6)
    exact = [origin + int(n * 10**9 / rate) for n in range(40)]
    assert np.abs(np.array(feed.times(rate)) - exact).max() <= 1000


def test_both_clocks_are_one() -> None:
    off = [now_nanos() - boot_anchor() - pylsl.local_clock() * 1e9 for _ in range(100)]
    assert min(map(abs, off)) < 100_000


def test_a_stream_that_is_not_there_is_refused_in_time(name: str) -> None:
    with pytest.raises(NotConnectedError, match=f"no LSL stream stream '{name}'.*within 0.3 s"):
        inlet(name, timeout_secs=0.3).format()


def test_a_source_id_tells_streams_of_one_name_apart(name: str) -> None:
    infos = [pylsl.StreamInfo(name, "EEG", 1, 250, pylsl.cf_float32, f"{name}-{n}") for n in (1, 2)]
    _senders = [pylsl.StreamOutlet(info) for info in infos]
    deadline = time.monotonic() + PATIENCE_SECS
    while len(pylsl.resolve_byprop("name", name, minimum=2, timeout=1)) < 2:
        assert time.monotonic() < deadline
    with pytest.raises(ValueError, match="by stream, stream_type or source_id"):
        LslInlet.Options()
    chosen = inlet(name, source_id=f"{name}-2")
    assert chosen.format().rate == 250
    chosen.close()


@pytest.mark.parametrize(
    ("rate", "dtype", "words"),
    [(0.0, pylsl.cf_float32, "irregular"), (250.0, pylsl.cf_int64, "has int64")],
)
def test_what_has_no_place_in_packets_is_refused(
    name: str, rate: float, dtype: Any, words: str
) -> None:
    _sender = pylsl.StreamOutlet(described(name, rate=rate, dtype=dtype))
    source = inlet(name)
    with pytest.raises(BadRequestError, match=words):
        source.format()
    source.close()


def test_silence_is_a_failure_and_no_endless_wait(name: str) -> None:
    _sender = pylsl.StreamOutlet(described(name))
    source = inlet(name, silence_secs=0.4)
    source.format()
    with pytest.raises(StreamError, match=r"nothing came from the LSL stream .* for 0.4 s"):
        source.run(ListFeed())
    source.close()


def test_a_stream_that_falls_silent_has_given_all_that_came(name: str) -> None:
    sender = pylsl.StreamOutlet(described(name))
    source, feed = inlet(name, silence_secs=0.4), ListFeed()
    source.format()
    sender.push_chunk([[1.0] * 3] * 5)
    with pytest.raises(StreamError, match="nothing came from the LSL stream"):
        source.run(feed)
    source.close()
    assert len(feed.samples) == 5
