"""Triggers that cut epochs, two sources side by side, pools by name: as a text says it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from graph_stand import (
    CHANNELS,
    RATE,
    SAMPLES,
    SCALE,
    SINK,
    SOURCE,
    VOLTS,
    counts,
    graph_of,
    play,
    raw_stream,
    read_stream,
    refusal,
    running,
    stage,
    wait_until,
)

from ringdaq.model import Channel, StreamSpec
from ringdaq.pipeline import build
from ringdaq.streams import StreamWriter

CHAIN = SOURCE + VOLTS


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[StreamWriter]:
    with raw_stream(tmp_path) as writer:
        yield writer


# --- epochs

STEPS = np.zeros((6 * SAMPLES, CHANNELS), np.int32)
STEPS[:, 1] = np.arange(len(STEPS))
STEPS[[60, 130, 220], 0] = 1_000
"""Channel Fz is high for a sample each time; Cz counts."""


def test_epochs_are_cut_around_triggers(tmp_path: Path, raw: StreamWriter) -> None:
    text = CHAIN + stage('type = "threshold"; channel = "Fz"; level = 5e-4')
    text += stage('type = "epoch"; before_secs = 0.04; after_secs = 0.08') + SINK
    with running(text, tmp_path):
        play(raw, STEPS)
        found = read_stream(tmp_path, "out", 3).reshape(3, 30, CHANNELS)
    for epoch, place in zip(found, (60, 130, 220), strict=True):
        assert np.rint(epoch[:, 1] / SCALE).tolist() == list(range(place - 10, place + 20))


def test_a_paths_triggers_cut_epochs_out_of_another(tmp_path: Path, raw: StreamWriter) -> None:
    text = CHAIN + stage('name = "level"; type = "threshold"; channel = "Fz"; level = 5e-4')
    text += stage(
        'name = "cut"; type = "epoch"; input = "volts"; '
        "before_secs = 0.04; after_secs = 0.08; late_secs = 2"
    )
    text += SINK + stage('name = "rest"; type = "ring_sink"; input = "level"')
    text += '[[connection]]\nfrom = "level"\nto = "cut"\ncarries = "triggers"\n'
    with running(text, tmp_path):
        play(raw, STEPS)
        found = read_stream(tmp_path, "out", 3).reshape(3, 30, CHANNELS)
    assert np.rint(found[:, 10, 1] / SCALE).tolist() == [60, 130, 220]


def test_triggers_alone_are_no_packets(tmp_path: Path, raw: StreamWriter) -> None:
    text = CHAIN + stage('name = "level"; type = "threshold"; channel = 0; level = 1')
    text += SINK + '[[connection]]\nfrom = "level"\nto = "out"\ncarries = "triggers"\n'
    assert "line 14: stage 'out': is given triggers only, no packets" in refusal(text, tmp_path)


def test_an_epoch_must_hold_a_sample(tmp_path: Path, raw: StreamWriter) -> None:
    text = CHAIN + stage('type = "epoch"; before_secs = 0; after_secs = 0.001') + SINK
    assert "line 12: stage 'epoch': holds no sample at 250 Hz" in refusal(text, tmp_path)


def test_powers_of_epochs_are_of_their_whole_segments(tmp_path: Path, raw: StreamWriter) -> None:
    text = CHAIN + stage('type = "threshold"; channel = "Fz"; level = 5e-4')
    text += stage('type = "epoch"; before_secs = 0.04; after_secs = 0.088')
    long = text + stage('type = "welch"; segment = 64') + SINK
    assert "a segment of 64 samples is longer than an epoch of 32" in refusal(long, tmp_path)
    text += stage('type = "welch"; averages = 3; overlap = 0.5') + SINK
    with running(text, tmp_path):
        play(raw, STEPS)
        density = read_stream(tmp_path, "out", 1).reshape(17, CHANNELS)[:, 1]
    window = np.hanning(33)[:32]
    ramp = (np.arange(32) - 15.5) * SCALE * window
    wanted = np.abs(np.fft.rfft(ramp)) ** 2 * 2 / RATE / (window**2).sum()
    # The same ramp in each epoch, whatever its height.
    assert np.allclose(density[1:-1], wanted[1:-1], rtol=1e-3)


# --- two sources

OTHER = SOURCE.replace('"in"', '"in2"').replace('"raw"', '"other"') + VOLTS.replace("volts", "v2")
ZIP = stage('type = "zip"; input = ["volts", "v2"]')


@pytest.fixture
def other(tmp_path: Path) -> Iterator[StreamWriter]:
    spec = StreamSpec(
        "other", "samples", (Channel("ECG", "int32", "uV"),), sample_rate=Fraction(RATE)
    )
    with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 20) as writer:
        yield writer


def test_two_sources_come_side_by_side(
    tmp_path: Path, raw: StreamWriter, other: StreamWriter
) -> None:
    graph = graph_of(CHAIN + OTHER + ZIP + SINK, tmp_path)
    form = graph.stage("zip").output
    assert form is not None
    assert [channel.name for channel in form.channels] == ["Fz", "Cz", "Pz", "Oz", "ECG"]
    assert form.simulated
    with running(CHAIN + OTHER + ZIP + SINK, tmp_path):
        data = counts(8)
        for start in range(0, len(data), SAMPLES):
            nanos = 1_000_000_000 + start * 4_000_000
            raw.write_block(nanos, data[start : start + SAMPLES])
            other.write_block(nanos, data[start : start + SAMPLES, :1] * 2)
        found = read_stream(tmp_path, "out", 6)
    assert np.allclose(found[:, 4], 2 * found[:, 0], rtol=1e-6)
    assert np.allclose(found[:, :4], data[: len(found)] * SCALE, rtol=1e-5)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (CHAIN + OTHER + stage('type = "zip"; input = "volts"') + SINK, 17, "needs 2 ways in"),
        (CHAIN + OTHER + stage('type = "zip"; input = ["v2", "v2"]') + SINK, 17, "needs 2 ways in"),
        (CHAIN + OTHER + stage('type = "zip"; input = ["volts", "in2"]') + SINK, 17, "found raw"),
        (
            CHAIN + VOLTS.replace("volts", "v2") + 'input = "in"\n' + ZIP + SINK,
            13,
            "channels of both are called Cz, Fz, Oz, Pz; write a second_prefix",
        ),
        (
            CHAIN + OTHER + stage('type = "zip"; input = "volts"') + SINK
            + '[[connection]]\nfrom = "v2"\nto = "zip.secnd"\n',
            26,
            "no way in called 'secnd'; did you mean 'second'?",
        ),
        (
            CHAIN + OTHER + stage('type = "zip"; input = ["volts", "v2", "in"]') + SINK,
            19,
            "has 2 ways in; found 3",
        ),
    ],
)  # fmt: skip
def test_what_does_not_join_is_refused(
    text: str, line: int, said: str, tmp_path: Path, raw: StreamWriter, other: StreamWriter
) -> None:
    found = refusal(text, tmp_path)
    assert f"line {line}: " in found
    assert said in found


def test_a_connection_may_lead_to_the_second_way_in(
    tmp_path: Path, raw: StreamWriter, other: StreamWriter
) -> None:
    text = CHAIN + OTHER + stage('type = "zip"; input = "volts"') + SINK
    text += '[[connection]]\nfrom = "v2"\nto = "zip.second"\n'
    graph = graph_of(text, tmp_path)
    assert [(e.source, e.port) for e in graph.edges if e.target == "zip"] == [
        ("volts", "first"),
        ("v2", "second"),
    ]


# --- pools by name


def test_a_stage_takes_its_results_from_the_pool_it_names(
    tmp_path: Path, raw: StreamWriter
) -> None:
    text = CHAIN + stage('type = "rfft"; pool = "spectra"') + SINK
    text += '[[connection]]\nfrom = "rfft"\nto = "out"\nthread = true\ncapacity = 3\n'
    assert "stage 'rfft' needs 8" in refusal(text + "[pool.spectra]\npackets = 7\n", tmp_path)
    with running(text + "[pool.spectra]\npackets = 8\n", tmp_path) as built:
        play(raw, counts(5))
        read_stream(tmp_path, "out", 5)
        pool = dict(built.pipeline.statistics()[2])["spectra"]
        assert pool[0] == 8
        assert pool[3] == 5


def test_two_stages_may_share_a_pool(tmp_path: Path, raw: StreamWriter) -> None:
    fork = stage('name = "a"; type = "rfft"; pool = "p"; input = "volts"') + SINK
    fork += stage('name = "b"; type = "welch"; segment = 64; pool = "p"; input = "volts"')
    fork += SINK.replace("out", "out2") + "[pool.p]\nsamples = 66\npackets = 2\n"
    with running(CHAIN + fork, tmp_path) as built:
        play(raw, counts(10))
        read_stream(tmp_path, "out", 10)
        wait_until(lambda: dict(built.pipeline.statistics()[2])["p"][1] == 0)
    assert "holds 65 samples; stage 'a' needs 66" in refusal(
        CHAIN + fork.replace("samples = 66", "samples = 65"), tmp_path
    )


def test_a_latency_is_the_cores_too(tmp_path: Path, raw: StreamWriter) -> None:
    text = CHAIN + stage('type = "pass"; latency_secs = 0.5') + SINK
    built = build(graph_of(text, tmp_path))
    built.pipeline.start()
    try:
        assert [row[1] for row in built.pipeline.latency()] == [pytest.approx(0.5)]
    finally:
        assert built.pipeline.stop(20.0)
