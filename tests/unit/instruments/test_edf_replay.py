import threading
from fractions import Fraction
from pathlib import Path

import edfio
import numpy as np
import pytest

from ringdaq.config import parse_rig
from ringdaq.instruments import build_instruments

DATA = Path(__file__).parents[4] / "shared" / "data"


def signal(values, rate, *, kind=edfio.EdfSignal, label="A", unit="uV", physical=(-200, 200)):
    return kind.from_digital(
        np.asarray(values), rate, label=label, physical_dimension=unit, physical_range=physical
    )


def digital(rows, seed, dtype=np.int16, limit=2**15):
    random = np.random.default_rng(seed)
    return random.integers(-limit, limit, rows).astype(dtype)


@pytest.fixture
def two_rates(tmp_path):
    path = tmp_path / "two_rates.edf"
    fast = [signal(digital(300, n), 100, label=f"EEG {n}") for n in range(3)]
    slow = signal(digital(3, 9), 1, label="Temp", unit="degC", physical=(30, 40))
    edfio.Edf([*fast, slow]).write(path)
    return path


def replay(path, timer, name="eeg", **options):
    text = f'[rig]\nname = "t"\n[[instrument]]\nname = "{name}"\ndriver = "replay.edf"\n'
    text += f'[instrument.options]\nfile = "{path}"\n'
    text += "".join(f"{key} = {value}\n" for key, value in options.items())
    registry = build_instruments(parse_rig(text), timer=timer)
    return registry.entry(name)


def play_all(instrument, list_sink):
    sinks = {spec.name: list_sink() for spec in instrument.stream_specs()}
    instrument.run(sinks, threading.Event())
    return {name: np.concatenate([b for _, b in s.records]) for name, s in sinks.items()}


def test_each_rate_is_a_stream(two_rates, timer):
    specs = replay(two_rates, timer).instrument.stream_specs()
    assert [s.name for s in specs] == ["eeg.100hz", "eeg.1hz"]
    assert [s.sample_rate for s in specs] == [100, 1]
    assert [len(s.channels) for s in specs] == [3, 1]
    assert not any(s.simulated for s in specs)
    assert specs[0].metadata["replay_of"] == "two_rates.edf"


def test_values_are_the_file_s_digital_ones(two_rates, timer, list_sink):
    played = play_all(replay(two_rates, timer, loop="false").instrument, list_sink)
    signals = edfio.read_edf(two_rates).signals
    assert played["eeg.100hz"].dtype == np.int16
    assert np.array_equal(played["eeg.100hz"], np.stack([s.digital for s in signals[:3]], axis=1))
    assert np.array_equal(played["eeg.1hz"][:, 0], signals[3].digital)


def test_calibration_is_edfio_s_own(two_rates, timer):
    specs = replay(two_rates, timer).instrument.stream_specs()
    channels = [c for s in specs for c in s.channels]
    for channel, source in zip(channels, edfio.read_edf(two_rates).signals, strict=True):
        physical = source.digital * channel.scale + channel.offset
        np.testing.assert_allclose(physical, source.data, rtol=1e-12, atol=1e-9)
        assert (channel.name, channel.unit) == (source.label, source.physical_dimension)


def test_bdf_keeps_all_24_bits(tmp_path, timer, list_sink):
    path = tmp_path / "wide.bdf"
    values = digital(512, 1, np.int32, 2**23)
    edfio.Bdf([signal(values, 256, kind=edfio.BdfSignal)]).write(path)
    played = play_all(replay(path, timer, loop="false").instrument, list_sink)
    assert played["eeg"].dtype == np.int32
    assert np.array_equal(played["eeg"][:, 0], values)


def test_times_follow_the_exact_rate(tmp_path, timer, list_sink):
    # 3 samples in 0.7 s: a rate that neither floats nor nanoseconds can hold.
    path = tmp_path / "odd.edf"
    values = digital(3000, 2)
    edfio.Edf([signal(values, 30 / 7)], data_record_duration=0.7).write(path)
    instrument = replay(path, timer, loop="false").instrument
    (spec,) = instrument.stream_specs()
    assert spec.sample_rate == Fraction(30, 7)
    sink = list_sink()
    begun = timer.now()
    instrument.run({"eeg": sink}, threading.Event())
    firsts = [first - sink.records[0][0] for first, _ in sink.records]
    rows = np.cumsum([0] + [len(block) for _, block in sink.records])
    assert firsts == [int(int(n) * 10**9 * Fraction(7, 30)) for n in rows[:-1]]
    assert timer.now() - begun == pytest.approx(3000 * 7 / 30)


def test_speed_changes_the_rate(two_rates, timer, list_sink):
    instrument = replay(two_rates, timer, loop="false", speed=4.0).instrument
    assert [s.sample_rate for s in instrument.stream_specs()] == [400, 4]
    begun = timer.now()
    play_all(instrument, list_sink)
    assert timer.now() - begun == pytest.approx(3.0 / 4)


def test_loop_joins_end_and_start(two_rates, timer, list_sink):
    instrument = replay(two_rates, timer, loop="true", block_secs=0.07).instrument
    stop = threading.Event()
    fast, slow = list_sink(), list_sink(enough=7)
    slow.full = stop
    instrument.run({"eeg.100hz": fast, "eeg.1hz": slow}, stop)
    played = np.concatenate([block for _, block in fast.records])
    once = np.stack([s.digital for s in edfio.read_edf(two_rates).signals[:3]], axis=1)
    assert len(played) > 600
    assert np.array_equal(played, np.resize(once, played.shape))


def test_annotations_are_left_out_and_said_so(tmp_path, timer):
    path = tmp_path / "notes.edf"
    annotations = [edfio.EdfAnnotation(0.5, None, "blink")]
    edfio.Edf([signal(digital(200, 3), 100)], annotations=annotations).write(path)
    (spec,) = replay(path, timer).instrument.stream_specs()
    assert len(spec.channels) == 1
    assert spec.metadata["annotations"] == "1 not replayed"


def test_labels_become_names_that_differ(tmp_path, timer):
    path = tmp_path / "labels.edf"
    labels = ["A", "A", "", "time"]
    edfio.Edf([signal(digital(100, n), 100, label=x) for n, x in enumerate(labels)]).write(path)
    (spec,) = replay(path, timer).instrument.stream_specs()
    assert [c.name for c in spec.channels] == ["A", "A (2)", "channel 3", "time (2)"]


@pytest.mark.parametrize("content", [b"", b"hello world", b"0       " + b"x" * 500])
def test_what_is_no_edf_is_listed(tmp_path, timer, content):
    path = tmp_path / "junk.edf"
    path.write_bytes(content)
    entry = replay(path, timer)
    assert entry.instrument is None
    assert "cannot be understood" in entry.error
    assert entry.error.endswith(str(path))


def test_missing_file_is_listed(tmp_path, timer):
    assert "No such file" in replay(tmp_path / "none.edf", timer).error


def test_a_replay_is_not_simulated(two_rates):
    from ringdaq.errors import ConfigError

    text = (
        '[rig]\nname = "t"\n[[instrument]]\nname = "eeg"\ndriver = "replay.edf"\n'
        f'simulated = true\n[instrument.options]\nfile = "{two_rates}"\n'
    )
    with pytest.raises(ConfigError, match=r"line 6.*makes nothing up"):
        build_instruments(parse_rig(text))


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared recordings are not here")
@pytest.mark.parametrize("name", ["mne_test.edf", "mne_test.bdf", "short_psg.edf"])
def test_real_recordings_come_out_exact(name, timer, list_sink):
    instrument = replay(DATA / name, timer, loop="false").instrument
    played = play_all(instrument, list_sink)
    read = edfio.read_bdf if name.endswith("bdf") else edfio.read_edf
    sources = {s.label: s for s in read(DATA / name).signals}
    for spec in instrument.stream_specs():
        for index, channel in enumerate(spec.channels):
            assert np.array_equal(played[spec.name][:, index], sources[channel.name].digital)
