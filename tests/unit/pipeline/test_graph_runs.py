"""A graph's results are scipy's, whichever way its text says it."""

from __future__ import annotations

from collections.abc import Iterator
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
    running,
    stage,
    wait_until,
)
from scipy import signal

from ringdaq.errors import ConfigError
from ringdaq.pipeline import build, changes
from ringdaq.pipeline.figures import figures_of
from ringdaq.streams import RingDirectory, StreamReader, StreamWriter

PACKETS = 12


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[StreamWriter]:
    with raw_stream(tmp_path) as writer:
        yield writer


def result(stages: str, directory: Path, raw: StreamWriter, records: int = PACKETS) -> np.ndarray:
    """What stages make of packets of volts."""
    with running(SOURCE + VOLTS + stages + SINK, directory):
        play(raw, counts(PACKETS))
        return read_stream(directory, "out", records)


def volts() -> np.ndarray:
    return counts(PACKETS) * SCALE


def filtered(sos: np.ndarray) -> np.ndarray:
    return signal.sosfilt(sos, volts(), axis=0)


def butter(order: int, edges: object, kind: str) -> np.ndarray:
    return signal.butter(order, edges, kind, fs=RATE, output="sos")


NOTCH = np.vstack(
    [signal.tf2sos(*signal.iirnotch(f, q, fs=RATE)) for f, q in ((50.0, 30.0), (100.0, 60.0))]
)
FILTERS = {
    'type = "highpass"; cutoff_hz = 1': butter(4, 1, "high"),
    'type = "lowpass"; cutoff_hz = 40; order = 3': butter(3, 40, "low"),
    'type = "bandpass"; low_hz = 1; high_hz = 40': butter(4, [1, 40], "band"),
    'type = "bandpass"; low_hz = 8; high_hz = 13; family = "chebyshev1"': signal.cheby1(
        4, 1, [8, 13], "bandpass", fs=RATE, output="sos"
    ),
    'type = "lowpass"; cutoff_hz = 40; family = "chebyshev2"': signal.cheby2(
        4, 40, 40, fs=RATE, output="sos"
    ),
    'type = "lowpass"; cutoff_hz = 40; family = "bessel"': signal.bessel(
        4, 40, norm="phase", fs=RATE, output="sos"
    ),
    'type = "notch"; harmonics = 2': NOTCH,
    'type = "sos"; sos = [[0.5, 0, 0, 1, -0.5, 0]]': np.array([[0.5, 0, 0, 1, -0.5, 0]]),
}


@pytest.mark.parametrize("written", FILTERS)
def test_a_filter_is_scipys(written: str, tmp_path: Path, raw: StreamWriter) -> None:
    wanted = filtered(FILTERS[written])
    found = result(stage(written), tmp_path, raw)
    assert np.abs(found - wanted).max() <= 1e-6 * np.abs(wanted).max()


def test_decimated_samples_are_scipys(tmp_path: Path, raw: StreamWriter) -> None:
    sos = signal.cheby1(8, 0.05, 0.8 / 5, output="sos")
    found = result(stage('type = "decimate"; factor = 5'), tmp_path, raw)
    assert np.allclose(found, filtered(sos)[::5], rtol=0, atol=1e-6 * 0.01)


def test_an_envelope_is_scipys(tmp_path: Path, raw: StreamWriter) -> None:
    sos = signal.butter(2, 5, fs=RATE, output="sos")
    found = result(stage('type = "envelope"; cutoff_hz = 5'), tmp_path, raw)
    assert np.allclose(found, signal.sosfilt(sos, np.abs(volts()), axis=0), rtol=0, atol=1e-8)


def test_references_take_away_what_they_say(tmp_path: Path, raw: StreamWriter) -> None:
    given = volts()
    laplacian = given.copy()
    laplacian[:, 1] -= (given[:, 0] + given[:, 2]) / 2
    wanted = {
        'type = "reference"': given - given.mean(1, keepdims=True),
        'type = "reference"; against = "channel"; channel = "Pz"': given - given[:, [2]],
        'type = "reference"; against = "laplacian"; neighbours = { Cz = ["Fz", "Pz"] }': laplacian,
    }
    for place, (written, right) in enumerate(wanted.items()):
        with raw_stream(tmp_path / str(place)) as one:
            found = result(stage(written), tmp_path / str(place), one)
            assert np.allclose(found, right, rtol=0, atol=1e-8), written


def test_band_powers_are_the_sum_of_scipys_densities(tmp_path: Path, raw: StreamWriter) -> None:
    bands = (
        'type = "band_power"; segment = 64; averages = 10; bands = { a = [8, 13], b = [13, 30] }'
    )
    found = result(stage(bands), tmp_path, raw, records=1).reshape(2, CHANNELS)
    part = volts()[: 64 + 9 * 32]
    frequencies, density = signal.welch(part, RATE, "hann", 64, 32, detrend="constant", axis=0)
    for row, (low, high) in enumerate(((8, 13), (13, 30))):
        inside = (frequencies >= low) & (frequencies < high)
        wanted = density[inside].sum(0) * RATE / 64
        assert np.allclose(found[row], wanted, rtol=1e-4)


def test_a_spectrum_is_scipys(tmp_path: Path, raw: StreamWriter) -> None:
    found = result(stage('type = "rfft"; output = "magnitude"'), tmp_path, raw)
    window = signal.get_window("hann", SAMPLES)[:, None]
    wanted = np.abs(np.fft.rfft(volts()[:SAMPLES] * window, 64, axis=0))
    assert np.allclose(found.reshape(PACKETS, 33, CHANNELS)[0], wanted, rtol=0, atol=1e-6)


def test_a_spectrum_is_of_so_many_samples_whatever_the_records_and_a_gap_is_counted(
    tmp_path: Path, raw: StreamWriter
) -> None:
    text = SOURCE + VOLTS + stage('type = "rfft"; output = "magnitude"') + SINK
    data = counts(3)
    with running(text, tmp_path) as built:
        for start in range(0, SAMPLES, 10):
            raw.write_block(1_000_000_000 + start * 4_000_000, data[start : start + 10])
        raw.write_block(2_000_000_000, data[SAMPLES : SAMPLES + 10])
        raw.write_block(9_000_000_000, data[-SAMPLES:])
        found = read_stream(tmp_path, "out", 2).reshape(2, 33, CHANNELS)
        figures = figures_of(built.pipeline)["stages"]["rfft"]
    window = signal.get_window("hann", SAMPLES)[:, None]
    for spectrum, packet in zip(found, (data[:SAMPLES], data[-SAMPLES:]), strict=True):
        wanted = np.abs(np.fft.rfft(packet * SCALE * window, 64, axis=0))
        assert np.allclose(spectrum, wanted, rtol=0, atol=1e-6)
    assert figures["own"] == {"cut_samples": 10.0, "waiting_samples": 0.0}
    assert (figures["errors"], figures["error"]) == (0, "")


def test_a_stage_feeds_a_ring_and_goes_on(tmp_path: Path, raw: StreamWriter) -> None:
    text = SOURCE + VOLTS + SINK + stage('type = "decimate"; factor = 2; antialias = false')
    with running(text + SINK.replace("out", "b"), tmp_path):
        play(raw, counts(PACKETS))
        first = read_stream(tmp_path, "out", PACKETS)
        assert np.allclose(read_stream(tmp_path, "b", PACKETS), first[::2])


def test_a_stream_says_where_it_comes_from(tmp_path: Path, raw: StreamWriter) -> None:
    text = 'name = "eeg"\n' + SOURCE + VOLTS + '[[stage]]\ntype = "ring_sink"\n'
    graph = graph_of(text, tmp_path)
    with running(text, tmp_path) as built:
        path = built.rings["ring_sink"]
        with StreamReader.open(path) as reader:
            spec = reader.spec
    assert (spec.name, spec.simulated, spec.sample_rate) == ("eeg.ring_sink", True, RATE)
    assert spec.metadata == {"pipeline": "eeg", "pipeline_hash": graph.config.hash}
    assert [channel.unit for channel in spec.channels] == ["V"] * CHANNELS
    assert RingDirectory(tmp_path).newest("eeg.ring_sink") == path


def test_times_go_through(tmp_path: Path, raw: StreamWriter) -> None:
    with running(SOURCE + VOLTS + stage('type = "notch"') + SINK, tmp_path):
        play(raw, counts(2))
        read_stream(tmp_path, "out", 2)
        with StreamReader.open(RingDirectory(tmp_path).newest("out")) as reader:
            times = reader.read(1).times()
    assert times[0] == 1_000_000_000 + 200_000_000
    assert set(np.diff(times)) == {4_000_000}


# --- changes while it runs


def test_a_filter_is_changed_while_it_runs(tmp_path: Path, raw: StreamWriter) -> None:
    text = SOURCE + VOLTS + stage('type = "sos"; sos = [[1, 0, 0, 1, 0, 0]]') + SINK
    with running(text, tmp_path) as built:
        play(raw, counts(1))
        read_stream(tmp_path, "out", 1)
        for change in changes(built.graph, "sos", {"sos": [[3.0, 0, 0, 1, 0, 0]]})[0]:
            built.pipeline.set(*change[:3])
        play(raw, counts(1))
        found = read_stream(tmp_path, "out", 2)
    assert np.allclose(found[SAMPLES:], 3 * found[:SAMPLES])


def test_a_change_speaks_of_frequencies(tmp_path: Path, raw: StreamWriter) -> None:
    text = SOURCE + VOLTS + stage('type = "notch"') + stage('type = "decimate"; factor = 5') + SINK
    graph = graph_of(text, tmp_path)
    ((name, key, value, _),), changed = changes(graph, "notch", {"frequency_hz": 60.0})
    assert changes(changed, "notch", {"frequency_hz": 60.0})[0] == []
    assert (name, key) == ("notch", "sos")
    assert np.allclose(value, signal.tf2sos(*signal.iirnotch(60, 30, fs=RATE)))
    for values, said in (
        ({"frequency_hz": 200.0}, "not below half the rate"),
        ({"frequency": 60.0}, "did you mean 'frequency_hz'"),
    ):
        with pytest.raises(ConfigError, match=said):
            changes(graph, "notch", values)
    with pytest.raises(ConfigError, match="change the form of its results"):
        changes(graph, "decimate", {"factor": 2})
    with pytest.raises(ConfigError, match="no parameters that can change"):
        changes(graph, "out", {"minutes": 2})
    with pytest.raises(ConfigError, match="no stage 'noch'"):
        changes(graph, "noch", {})


# --- the ring's size


def test_a_ring_that_does_not_fit_is_refused(tmp_path: Path, raw: StreamWriter) -> None:
    from ringdaq.errors import RingSpaceError

    text = SOURCE + VOLTS + SINK.replace('stream = "out"', 'capacity_bytes = "100000 GiB"')
    with pytest.raises(RingSpaceError, match="are missing"):
        build(graph_of(text, tmp_path))


def test_a_ring_holds_the_minutes_it_says(tmp_path: Path, raw: StreamWriter) -> None:
    text = SOURCE + VOLTS + SINK + "minutes = 0.5\n"
    with running(text, tmp_path) as built:
        play(raw, counts(200))
        with StreamReader.open(built.rings["out"]) as reader:
            wait_until(lambda: reader.next_sequence == 200)
            assert reader.statistics().held_rows >= 0.5 * 60 * RATE
