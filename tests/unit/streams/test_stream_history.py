"""What a ring held, exact and folded, equals what was written."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ringdaq.model import NUMERIC_DTYPES, Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter
from ringdaq.streams.history import RingHistories, SourceHistory
from ringdaq.streams.history_source import RingSource

START = 1_700_000_000_000_000_000
PERIOD = 250_000
WIDTH = 3


def spec_of(dtype="int16"):
    channels = tuple(Channel(f"c{n}", dtype, "uV") for n in range(WIDTH))
    return StreamSpec("eeg", "samples", channels, sample_rate=Fraction(4000))


def fill(writer, blocks, rows=100, seed=0, skip=()):
    """Blocks of random samples; those in `skip` are not written. Returns what was."""
    random = np.random.default_rng(seed)
    kept, times = [], []
    for n in range(blocks):
        block = (random.normal(size=(rows, WIDTH)) * 1000).astype(writer.spec.channels[0].dtype)
        if n in skip:
            continue
        writer.write_block(START + n * rows * PERIOD, block)
        kept.append(block)
        times.append(START + (n * rows + np.arange(rows)) * PERIOD)
    return np.concatenate(times), np.concatenate(kept)


@pytest.fixture
def eeg(ring_directory):
    with StreamWriter.create(ring_directory, spec_of(), capacity_bytes=8 << 20) as writer:
        yield writer


def look(writer):
    return SourceHistory(RingSource(StreamReader.open(writer.path)))


def check(fold, times, values, bin_rows, first_row=0):
    assert fold.rows.sum() == len(times)
    starts = fold.first_row - first_row
    for n, (start, rows) in enumerate(zip(starts, fold.rows, strict=True)):
        part = values[start : start + rows]
        assert np.array_equal(fold.low[0][n], np.nanmin(part, axis=0))
        assert np.array_equal(fold.high[0][n], np.nanmax(part, axis=0))
        assert fold.first_nanos[n] == times[start]
        assert fold.last_nanos[n] == times[start + rows - 1]
    assert len(fold) <= len(times) // bin_rows + 2


@pytest.mark.parametrize("bin_rows", [1, 7, 64, 128, 1024, 16384])
@pytest.mark.parametrize(("first", "cut"), [(0, 0), (5, 3), (777, 1111)])
def test_a_fold_is_least_and_greatest_of_each_bin(eeg, bin_rows, first, cut):
    times, values = fill(eeg, 300)
    end = len(times) - cut
    history = look(eeg)
    for _ in range(2):  # the second answer comes from what is folded already
        fold, holes = history.fold(first, end, bin_rows)
        check(fold, times[first:end], values[first:end], bin_rows, first)
        assert holes == []


@pytest.mark.parametrize("dtype", NUMERIC_DTYPES)
def test_samples_of_every_type_are_folded(ring_directory, dtype):
    with StreamWriter.create(ring_directory, spec_of(dtype), capacity_bytes=1 << 20) as writer:
        info = np.finfo(dtype) if dtype.startswith("float") else np.iinfo(dtype)
        values = (np.random.default_rng(2).random((256, WIDTH)) * 100).astype(dtype)
        values[[3, 70], [0, 1]] = info.max, info.min
        writer.write_block(START, values)
        fold, _ = look(writer).fold(0, 256, 64)
    assert fold.low[0].dtype == dtype
    check(fold, START + np.arange(256) * PERIOD, values, 64)


def test_what_comes_later_is_folded_later(eeg):
    history = look(eeg)
    times, values = fill(eeg, 150, rows=37)
    history.fold(0, len(times), 128)
    more_times, more = [], []
    for n in range(150, 190):
        block = np.full((37, WIDTH), n, np.int16)
        eeg.write_block(START + n * 37 * PERIOD, block)
        more.append(block)
        more_times.append(START + (n * 37 + np.arange(37)) * PERIOD)
    times, values = np.concatenate([times, *more_times]), np.concatenate([values, *more])
    fold, _ = history.fold(0, len(times), 128)
    check(fold, times, values, 128)


def test_times_lead_to_rows(eeg):
    times, _ = fill(eeg, 20)
    history = look(eeg)
    assert history.between(int(times[0]), int(times[-1])) == (0, len(times))
    assert history.between(int(times[150]), int(times[250])) == (150, 251)
    assert history.between(int(times[150]) + 1, int(times[250]) - 1) == (151, 250)
    assert history.between(int(times[-1]) + 1, int(times[-1]) + 9) == (len(times), len(times))


def test_rows_are_what_was_written(eeg):
    times, values = fill(eeg, 30)
    rows = look(eeg).rows(123, 2345)
    assert np.array_equal(rows.times, times[123:2345])
    assert np.array_equal(rows.columns["samples"], values[123:2345])


@pytest.mark.parametrize("bin_rows", [1, 1024])
def test_a_hole_in_time_is_told(eeg, bin_rows):
    times, _ = fill(eeg, 60, skip={17, 18, 40})
    fold, holes = look(eeg).fold(0, len(times), bin_rows)
    assert fold.rows.sum() == 5700
    assert [(hole.first_nanos, hole.last_nanos, hole.rows) for hole in holes] == [
        (times[1699], times[1700], 200),
        (times[3799], times[3800], 100),
    ]


def test_a_lapped_history_begins_at_the_oldest_row_left(ring_directory):
    with StreamWriter.create(ring_directory, spec_of(), capacity_bytes=1 << 17) as writer:
        history = look(writer)
        times, values = fill(writer, 20)
        history.fold(0, 2000, 64)
        times, values = fill(writer, 2000, seed=1)
        first, end = history.source.held()
        assert first > 2000
        fold, _ = history.fold(0, end, 64)
        check(fold, times[first - 2000 :], values[first - 2000 :], 64, first)


def test_nan_counts_as_missing(ring_directory):
    with StreamWriter.create(ring_directory, spec_of("float32"), capacity_bytes=1 << 20) as writer:
        values = np.arange(128 * WIDTH, dtype=np.float32).reshape(128, WIDTH)
        values[3, 1] = np.nan
        values[64:, 2] = np.nan
        writer.write_block(START, values)
        fold, _ = look(writer).fold(0, 128, 64)
        assert fold.low[0][0].tolist() == [0, 1, 2]
        assert fold.high[0][0].tolist() == [189, 190, 191]
        assert np.isnan(fold.low[0][1]).tolist() == [False, False, True]


def test_rows_with_missing_values_texts_and_truth(ring_directory):
    spec = StreamSpec(
        "log",
        "rows",
        (Channel("x", "int32", "mm"), Channel("note", "string"), Channel("good", "bool")),
    )
    with StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 20) as writer:
        for n in range(200):
            writer.append(START + n, None if n % 3 else n, f"n{n}" if n % 2 else None, n > 100)
        history = look(writer)
        rows = history.rows(0, 200)
        assert rows.missing["x"][:4].tolist() == [False, True, True, False]
        assert rows.columns["x"][3, 0] == 3
        assert rows.columns["note"][:2, 0].tolist() == [None, "n1"]
        fold, holes = history.fold(0, 200, 64)
        assert [one[0, 0] for one in fold.low] == [0, 0]
        assert [one[0, 0] for one in fold.high] == [63, 0]
        assert holes == []


def test_generations_are_told_old_to_new(ring_directory):
    histories = RingHistories(ring_directory)
    assert histories.of("eeg") == []
    for _ in range(3):
        with StreamWriter.create(ring_directory, spec_of(), capacity_bytes=1 << 16) as writer:
            fill(writer, 2)
    found = histories.of("eeg")
    assert [one.source.reader.path.name for one in found] == [
        f"eeg.0000000{n}.ring" for n in (1, 2, 3)
    ]
    assert histories.of("eeg")[0] is found[0]
    found[0].source.reader.path.unlink()
    assert histories.of("eeg") == found[1:]
