"""Packed journals and packed files hold the same values as plain ones."""

from __future__ import annotations

import sys

import h5py
import numpy as np
import pytest

from ringdaq.errors import MissingExtraError
from ringdaq.recorder import recover
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.entries import RecordsEntry
from ringdaq.recorder.recording import Recording
from ringdaq.recorder.scan import JournalReader


def record(bench, **storage):
    description = parse_description(bench.description(storage=storage))
    recording = Recording(description, flush_secs=0.0)
    bench.recordings.append(recording)
    for _ in range(3):
        bench.produce(7)
        recording.step()
    ended = bench.description(storage=storage, end={"state": "completed"})
    recording.update(parse_description(ended))
    for _ in range(200):
        recording.step()
    assert recording.state == "sealed", recording.report()


def check(path):
    with h5py.File(path) as file:
        entry = file["entry"]
        images = entry["camera/image"][:]
        np.testing.assert_array_equal(images[:, 1, 2], np.arange(21))
        np.testing.assert_array_equal(entry["camera/exposure"], np.arange(21) * 0.001)
        np.testing.assert_array_equal(entry["eeg/samples"][::3, 0], np.arange(21))
        np.testing.assert_array_equal(entry["stage/position"], np.arange(21) * 0.1)
        return entry["camera/image"]._filters, entry["camera/image"].chunks


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_images_may_be_packed_in_the_journal(bench, tmp_path, codec):
    bench.open("stage", "eeg", "camera")
    record(bench, codec=codec)
    bodies = [entry.body for entry in JournalReader(bench.journal).entries()]
    codecs = {(b.stream, b.codec) for b in bodies if isinstance(b, RecordsEntry)}
    assert codecs == {(0, 0), (1, 0), (2, ["none", "lz4", "zstd"].index(codec))}
    check(bench.file)
    again = tmp_path / "again.h5"
    assert recover(bench.journal, output=again).damage == []
    check(again)


@pytest.mark.filterwarnings("ignore:::hdf5plugin")
@pytest.mark.parametrize("compression", ["gzip", "blosc2", "zstd"])
def test_files_may_be_packed(bench, compression):
    bench.open("stage", "eeg", "camera")
    record(bench, compression=compression, chunk_bytes=100)
    filters, chunks = check(bench.file)
    assert filters
    assert chunks == (4, 3, 4)


def test_without_pyarrow_the_extra_is_named(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    bench.open("camera")
    with pytest.raises(MissingExtraError, match=r"ringdaq\[arrow\]"):
        record(bench, codec="lz4")


def test_without_hdf5plugin_the_extra_is_named(bench, monkeypatch):
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    bench.open("camera")
    description = parse_description(bench.description(storage={"compression": "zstd"}))
    recording = Recording(description, flush_secs=0.0)
    bench.recordings.append(recording)
    recording.step()
    assert "pip install 'ringdaq[compress]'" in recording.report()["error"]
