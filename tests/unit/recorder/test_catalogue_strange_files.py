"""Files of other makers in the data directory cost nobody a recording."""

from __future__ import annotations

import sqlite3

import h5py
import pytest
from recorder_bench import Bench

from ringdaq.errors import RecordingError
from ringdaq.recorder.catalogue import Catalogue


def record(data, rings, name="r1"):
    bench = Bench(rings, data)
    bench.file, bench.journal = data / f"{name}.h5", data / "journals" / name
    bench.open("meter")
    plain = bench.description
    bench.description = lambda **changes: plain(**{"recording_id": name, **changes})
    recording = bench.record()
    bench.produce(3)
    assert bench.end(recording)["state"] == "sealed"
    bench.close()
    return bench.file


@pytest.fixture
def data(tmp_path, ring_directory):
    """A data directory with one sealed recording in it."""
    made = tmp_path / "data"
    made.mkdir()
    record(made, ring_directory)
    return made


@pytest.fixture
def catalogue(data):
    made = Catalogue(data)
    yield made
    made.close()


def copy_with(data, name, **fields):
    """A copy of the recording that says other things of itself."""
    (data / name).write_bytes((data / "r1.h5").read_bytes())
    with h5py.File(data / name, "a") as file:
        for field, value in fields.items():
            del file["entry"][field]
            file["entry"][field] = value


@pytest.mark.parametrize("crafted", ["..", "", ".", "/tmp", "../r1", "a/b"])
def test_an_id_that_is_no_plain_name_is_refused(data, catalogue, crafted):
    copy_with(data, "odd.h5", entry_identifier=crafted)
    assert catalogue.refresh() == {"read": ["r1.h5"], "gone": [], "refused": ["odd.h5"]}
    assert [found["recording_id"] for found in catalogue.find()] == ["r1"]


@pytest.mark.parametrize("kept", ["..", ".", "../journals/r1"])
def test_an_id_that_an_older_catalogue_took_in_deletes_nothing(data, catalogue, kept):
    catalogue.refresh()
    with sqlite3.connect(data / "catalogue.sqlite") as db:
        db.execute("UPDATE recordings SET recording_id = ?", (kept,))
    db.close()
    before = sorted(data.rglob("*"))
    with pytest.raises(RecordingError, match=r"letters.*by hand.*r1\.h5"):
        catalogue.delete(kept, confirm=kept)
    assert sorted(data.rglob("*")) == before
