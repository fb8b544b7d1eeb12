"""Files of other makers in the data directory cost nobody a recording."""

from __future__ import annotations

import sqlite3

import h5py
import pytest
from recorder_bench import Bench

from ringdaq.errors import BadRequestError, RecordingError
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


def foreign(path, *, entry=None, **fields):
    with h5py.File(path, "w") as file:
        if entry is not None:
            file["entry"] = entry
            return
        group = file.create_group("entry")
        for field, value in fields.items():
            group[field] = value


def test_files_of_other_programs_do_not_keep_recordings_out(data, catalogue, ring_directory):
    foreign(data / "a_group.h5")
    foreign(data / "b_number.h5", entry=1)
    foreign(data / "c_nexus.h5", entry_identifier="x1", experiment_identifier=3, title=[1, 2])
    copy_with(data, "d_no_time.h5", start_time="once upon a time", entry_identifier="d")
    copy_with(data, "e_late.h5", start_time="9000-01-01T00:00:00+00:00", entry_identifier="e")
    (data / "f_loop.h5").symlink_to(data / "f_loop.h5")
    (data / "g_elsewhere.h5").symlink_to("/dev/null")
    record(data, ring_directory, "z9")
    report = catalogue.refresh()
    assert report["read"] == ["r1.h5", "z9.h5"]
    assert [name[0] for name in report["refused"]] == [*"abcdefg"]
    assert {found["recording_id"] for found in catalogue.find()} == {"r1", "z9"}


def test_making_the_index_anew_keeps_what_cannot_be_read_now(data, catalogue, ring_directory):
    record(data, ring_directory, "z9")
    record(data, ring_directory, "gone")
    catalogue.refresh()
    (data / "gone.h5").unlink()
    foreign(data / "r1.h5")
    assert catalogue.reindex() == {"read": ["z9.h5"], "gone": ["gone.h5"], "refused": ["r1.h5"]}
    assert {found["recording_id"] for found in catalogue.find()} == {"r1", "z9"}


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ("rows > 99999999999999999999", "64 bits"),
        ("temperature > -99999999999999999999", "64 bits"),
        ("start > 99999999999999999999999", "64 bits"),
        ("start > '99999999999999999999999'", "64 bits"),
        (f"start > '{'9' * 400}d'", "is a time"),
        ("start > '1600-01-01'", "64 bits"),
        ("name = '\\ud800'", "whole characters"),
        ("'\\udfff' in name", "whole characters"),
        (f"x in ({','.join('1' * 990)})", "names and values"),
        ("not " * 490 + "sealed", "deep"),
        ("-" * 1900 + "1 = rows", "deep"),
        ("a" + ".a" * 990, "deep"),
        ("a or (b and (" * 30 + "x" + "))" * 30, "deep"),
    ],
)
def test_a_wish_that_no_database_takes_is_refused(catalogue, wish, why):
    with pytest.raises(BadRequestError, match=why):
        catalogue.find(wish)


@pytest.mark.parametrize(
    "wish",
    [
        "not " * 20 + "sealed",
        "sealed and (rows or (" * 10 + "rows > 1" + "))" * 10,
        f"rows in ({','.join('3' * 590)})",
        "sealed" + " or sealed" * 190,
        f"rows > {-(2**63)} and rows < {2**63 - 1}",
        "name != '\\U0001f600'",
    ],
)
def test_a_long_wish_is_answered(catalogue, wish):
    catalogue.refresh()
    assert [found["recording_id"] for found in catalogue.find(wish)] == ["r1"]
