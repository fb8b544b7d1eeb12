"""Simulated EEG and recorded files as sources of packets."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import edfio
import numpy as np
import pytest
from pipeline_kit import ListFeed, site

from ringdaq.errors import ConfigError
from ringdaq.instruments.drivers.edf_file import open_edf
from ringdaq.instruments.sim.eeg import CODE_UV, EegOptions, SimulatedEeg
from ringdaq.pipeline.catalogue import find_kind
from ringdaq.pipeline.parts import RefusedError
from ringdaq.pipeline.sources.ads1299 import Ads1299Source
from ringdaq.pipeline.sources.edf_replay import EdfReplaySource
from ringdaq.pipeline.sources.simulated_eeg import SimulatedEegSource

DATA = Path(__file__).parents[4] / "shared" / "data"
QUICK = {"channels": 4, "rate_hz": 3000, "block_secs": 0.004}


def simulated(**options: Any) -> SimulatedEegSource:
    return SimulatedEegSource(SimulatedEegSource.Options(**{**QUICK, **options}), site())


def played(source: Any, feed: ListFeed) -> Any:
    form = source.format()
    thread = threading.Thread(target=source.run, args=(feed,))
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    source.close()
    return form


def test_simulated_eeg_comes_as_marked_counts_with_volts_a_count() -> None:
    form = simulated().format()
    assert (form.kind, form.samples, form.rate, form.simulated) == ("raw", 12, 3000, True)
    assert {c.unit for c in form.channels} == {"V"}
    assert {c.scale for c in form.channels} == {CODE_UV * 1e-6}
    assert form.channels[0].scale == pytest.approx(4.5 / 24 / 2**23, rel=1e-15)


def test_its_samples_are_the_instruments_own_at_an_exact_rate() -> None:
    feed = ListFeed(enough=120)
    form = played(simulated(), feed)
    alone = SimulatedEeg("eeg", EegOptions(dtype="int32", channels=4, rate_hz=3000))
    assert np.array_equal(feed.samples, alone.block(0, len(feed.samples)))
    assert {origin for origin, _ in feed.places} == {feed.places[0][0]}
    assert [first for _, first in feed.places] == list(range(0, 12 * len(feed.places), 12))
    times = np.diff(feed.times(form.rate))
    assert set(times.tolist()) <= {333_333, 333_334}


def test_floats_come_as_volts() -> None:
    feed = ListFeed(enough=24)
    form = played(simulated(dtype="float32"), feed)
    assert (form.kind, feed.blocks[0].dtype) == ("voltage", np.float32)
    micros = SimulatedEeg("eeg", EegOptions(channels=4, rate_hz=3000)).block(0, 12)
    np.testing.assert_allclose(feed.blocks[0], micros * 1e-6, rtol=1e-6)


def signal(values: Any, rate: int, **facts: Any) -> Any:
    facts = {"physical_dimension": "uV", "physical_range": (-3276.8, 3276.7)} | facts
    return edfio.EdfSignal.from_digital(np.asarray(values, np.int16), rate, **facts)


@pytest.fixture
def two_rates(tmp_path: Path) -> Path:
    random = np.random.default_rng(1)
    fast = [signal(random.integers(-32768, 32767, 1000), 500, label=f"E{n}") for n in range(2)]
    slow = [signal([1, 2], 1, label="Temp", physical_dimension="degC", physical_range=(30, 40))]
    path = tmp_path / "two.edf"
    edfio.Edf([*fast, *slow]).write(path)
    return path


def replay(path: Path, **options: Any) -> EdfReplaySource:
    made = EdfReplaySource.Options(file=path.name, loop=False, speed=1000, **options)
    return EdfReplaySource(made, site(path.parent))


def test_a_file_of_one_scale_comes_as_its_own_counts(two_rates: Path) -> None:
    feed = ListFeed()
    form = played(replay(two_rates, recorded_rate_hz=500), feed)
    assert (form.kind, form.rate, form.simulated) == ("raw", 500_000, False)
    assert [(c.name, c.unit) for c in form.channels] == [("E0", "V"), ("E1", "V")]
    assert [c.scale for c in form.channels] == pytest.approx([1e-7, 1e-7])
    written = edfio.read_edf(two_rates).signals
    assert np.array_equal(feed.samples, np.stack([written[0].digital, written[1].digital], 1))


def test_several_rates_need_a_choice(two_rates: Path) -> None:
    with pytest.raises(RefusedError, match="500, 1 Hz: choose one by recorded_rate_hz"):
        replay(two_rates).format()


def test_signals_are_chosen_by_name_and_keep_a_unit_that_is_no_voltage(two_rates: Path) -> None:
    feed = ListFeed()
    form = played(replay(two_rates, recorded_rate_hz=1, channels=["Temp"]), feed)
    assert (form.kind, form.channels[0].unit) == ("voltage", "degC")
    lowest = edfio.read_edf(two_rates).signals[2].data
    assert feed.samples[:, 0] == pytest.approx(lowest, rel=1e-6)
    with pytest.raises(RefusedError, match=r"no channel 'Tmp'.*'Temp'"):
        replay(two_rates, recorded_rate_hz=1, channels=["Tmp"]).format()


def test_annotations_become_triggers_at_their_samples_each_time_they_are_played(
    tmp_path: Path,
) -> None:
    noted = [(0.5, "left"), (1.25, "right"), (1.998, "left"), (3.0, "left")]
    edf = edfio.Edf(
        [signal(range(1000), 500)],
        annotations=[edfio.EdfAnnotation(onset, None, text) for onset, text in noted],
    )
    edf.write(tmp_path / "noted.edf")
    options: dict[str, Any] = {"file": "noted.edf", "speed": 100, "markers": ["left"]}
    source = EdfReplaySource(EdfReplaySource.Options(**options), site(tmp_path))
    feed = ListFeed(enough=2500)
    form = played(source, feed)
    times = feed.times(form.rate)
    # The last one was noted after the file's end.
    at = [row for row in (250, 999, 1250, 1999, 2250) if row < len(times)]
    assert [nanos for nanos, _, _ in feed.marks][: len(at)] == [times[row] for row in at]
    with pytest.raises(RefusedError, match=r"no annotation 'lef'; did you mean 'left'"):
        replay(tmp_path / "noted.edf", markers=["lef"]).format()


@pytest.mark.parametrize("name", ["mne_test.bdf", "mne_test.edf", "short_psg.edf"])
def test_a_real_recording_is_played_in_volts(name: str) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"real recordings are not in this copy: {name}")
    fastest = open_edf(DATA / name).groups[0]
    options = {"file": name, "recorded_rate_hz": float(fastest.rate), "speed": 1000}
    source = EdfReplaySource(EdfReplaySource.Options(**options), site(DATA))
    feed = ListFeed(enough=2000)
    form = played(source, feed)
    assert len(form.channels) == len(fastest.channels)
    counts = fastest.rows(0, len(feed.samples))
    for place, (made, stored) in enumerate(zip(form.channels, fastest.channels, strict=True)):
        physical = counts[:, place] * stored.scale + stored.offset
        found = feed.samples[:, place] * made.scale
        factor = 1e-6 if stored.unit.endswith("V") else 1.0
        np.testing.assert_allclose(found, physical * factor, rtol=1e-6, atol=1e-12)


def ads1299(**options: Any) -> Ads1299Source:
    return Ads1299Source(Ads1299Source.Options(**options), site())


def test_an_ads1299_gives_counts_with_their_volts_and_says_that_it_is_made_up() -> None:
    feed = ListFeed(enough=12)
    form = played(ads1299(simulated=True, channels=2, gain=12), feed)
    assert (form.kind, form.rate, form.simulated) == ("raw", 250, True)
    assert [(c.name, c.unit, c.scale) for c in form.channels] == [
        ("E1", "V", 4.5 / 12 / 2**23), ("E2", "V", 4.5 / 12 / 2**23),
    ]  # fmt: skip
    assert feed.samples.any(axis=0).all()


def test_what_an_ads1299_lost_is_counted_by_the_source_too() -> None:
    source, feed = ads1299(simulated=True, block_secs=0.1), ListFeed(enough=60)
    source.format()
    instrument: Any = source._producer
    instrument._link._missing = {5, 6, 20}
    source.run(feed)
    assert source.statistics()["lost_samples"] == instrument.lost_samples >= 3
    assert source.statistics()["gaps"] >= 2


def test_an_ads1299_is_real_or_made_up() -> None:
    with pytest.raises(ConfigError, match="simulated = true or a link"):
        ads1299().format()


def test_all_types_of_sources_and_sinks_are_to_be_had() -> None:
    names = {
        "source": ["simulated_eeg", "edf_replay", "lsl_source", "ads1299", "brainflow"],
        "sink": ["lsl_sink", "csv_sink", "edf_sink", "websocket_sink"],
    }
    for role, types in names.items():
        for name in types:
            kind = find_kind(name)
            assert kind.role == role
            assert kind.options().model_fields


def test_rates_are_exact() -> None:
    assert simulated(rate_hz=16_000.0).format().rate == Fraction(16_000)


def test_it_runs_neither_fast_nor_slow_and_no_two_blocks_have_one_time() -> None:
    class OwnTime:
        """A clock that only those who wait turn."""

        time = 0.0

        def now(self) -> float:
            return self.time

        def wait_for(self, changed: threading.Condition, seconds: float) -> None:
            self.time += seconds

        def wait_until_set(self, event: threading.Event, seconds: float) -> bool:
            if not event.is_set():
                self.time += max(0.0, seconds)
            return event.is_set()

    source, feed, timer = simulated(rate_hz=250, block_secs=0.128), ListFeed(250 * 600), OwnTime()
    source.format()
    instrument: Any = source._producer
    instrument._timer = timer
    source.run(feed)
    made = len(feed.samples) / 250
    assert timer.time == pytest.approx(made, abs=1e-6)
    times = feed.times(Fraction(250))
    assert set(np.diff(times).tolist()) == {4_000_000}
