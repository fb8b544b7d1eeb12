"""Recordings are found by what they are, and the index is made from the files alone."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from datetime import datetime

import pytest
from recorder_bench import START, Bench

from ringdaq.errors import BadRequestError, BusyError, UnknownRunError
from ringdaq.recorder.catalogue import Catalogue
from ringdaq.recorder.catalogue.compare import compare
from ringdaq.recorder.catalogue.notes import notes_path
from ringdaq.recorder.catalogue.query import to_sql


class Archive:
    """A data directory with recordings in it."""

    def __init__(self, path, make_rings):
        self.path = path
        self._make_rings = make_rings

    def record(self, name, *, end=True, **told):
        bench = Bench(self._make_rings(), self.path)
        bench.file = self.path / f"{name}.h5"
        bench.journal = self.path / "journals" / name
        bench.open("stage", "meter", "events")
        description = bench.description
        bench.description = lambda **changes: description(
            **{"recording_id": name, "run_id": name, **told, **changes}
        )
        recording = bench.record()
        bench.produce(5)
        if end:
            assert bench.end(recording)["state"] == "sealed"
        else:
            while recording.step():
                pass
            assert bench.file.exists()
        bench.close()
        return bench.file


def script(text="print(1)\n", **parameters):
    return {"id": "s", "name": "scan.py", "text": text, "hash": "h", "parameters": parameters}


@pytest.fixture
def archive(tmp_path, tmp_path_factory):
    return Archive(tmp_path, lambda: tmp_path_factory.mktemp("rings"))


@pytest.fixture(scope="module")
def three_recordings(tmp_path_factory):
    archive = Archive(tmp_path_factory.mktemp("data"), lambda: tmp_path_factory.mktemp("rings"))
    archive.record("r1", title="alpha", script=script(sample="X", temperature=250))
    archive.record("r2", title="beta", script=script(sample="X", temperature=310.5), user="bob")
    archive.record(
        "r3",
        title="beta two",
        script=script("print(2)\n", sample="Y", good=True),
        started_nanos=START + 3600 * 10**9,
    )
    return archive.path


@pytest.fixture
def catalogue(archive, three_recordings):
    """A catalogue of copies, so that each test may change them."""
    shutil.copytree(three_recordings, archive.path, dirs_exist_ok=True)
    made = Catalogue(archive.path)
    made.refresh()
    yield made
    made.close()


def ids(catalogue, wish):
    return sorted(found["recording_id"] for found in catalogue.find(wish))


@pytest.mark.parametrize(
    ("wish", "wanted"),
    [
        ("", "r1 r2 r3"),
        ("sample = 'X' and temperature > 300", "r2"),
        ("sample == 'X' and temperature > 300", "r2"),
        ("sample = 'X' and not temperature > 300", "r1"),
        ("200 < temperature <= 310.5", "r1 r2"),
        ("300 < temperature", "r2"),
        ("temperature in (250, 1)", "r1"),
        ("temperature", "r1 r2"),
        ("parameter.sample != 'X'", "r3"),
        ("good = True", "r3"),
        ("'beta' in name", "r2 r3"),
        ("'beta' not in name", "r1"),
        ("name = 'beta' or user = 'ada' and sample = 'Y'", "r2 r3"),
        ("stage.speed >= 1.5", "r1 r2 r3"),
        ("stage.speed > 1.5", ""),
        ("stream = 'meter' and instrument = 'stage'", "r1 r2 r3"),
        ("rows > 14 and lost_rows = 0 and duration > 1", "r1 r2"),
        (f"start > {START + 1}", "r3"),
        ("start < '2023-11-15' and end > '2023-01-01'", "r1 r2 r3"),
        ("sealed and simulated", "r1 r2 r3"),
        ("sample = 'it\\'s = 1'", ""),
        ("temperature > -5.5", "r1 r2"),
        ("temperature = '310.5'", "r2"),
    ],
)
def test_a_wish_finds(catalogue, wish, wanted):
    assert ids(catalogue, wish) == wanted.split()


@pytest.mark.parametrize(
    ("wish", "place", "why"),
    [
        ("(sample = ", 1, "cannot be read"),
        ("sample = X", 10, "text in quotes"),
        ("__import__('os').system('x')", 1, "comparison"),
        ("temperature > 3 + 4", 15, "text in quotes"),
        ("a = 1 and (b = 2", 11, "cannot be read"),
        ("1 = 2", 1, "name of a key"),
        ("rows > 'many'", 1, "is a number"),
        ("user = 3", 1, "is a text"),
        ("start > 'someday'", 1, "is a time"),
        ("[x for x in y]", 1, "comparison"),
        ("temperature is 3", 1, "compare"),
        ("x['a'] = 3", 1, "name of a key"),
        ("lambda: 3", 1, "comparison"),
    ],
)
def test_a_wrong_wish_is_refused_where_it_is_wrong(wish, place, why):
    with pytest.raises(BadRequestError, match=why) as caught:
        to_sql(wish)
    assert f"at character {place} of" in str(caught.value)


def test_nothing_of_a_wish_becomes_sql(catalogue):
    assert ids(catalogue, 'sample = "X\' OR 1=1 --"') == []
    with pytest.raises(BadRequestError):
        catalogue.find("(" * 500)
    with pytest.raises(BadRequestError):
        catalogue.find("a = 1 or " * 300 + "a = 1")


def test_what_is_found_says_what_it_is(catalogue, archive):
    found = catalogue.get("r2")
    assert found["file"] == str(archive.path / "r2.h5")
    assert found["about"]["script"]["parameters"] == {"sample": "X", "temperature": 310.5}
    assert found["about"]["instruments"]["stage"]["settings"]["speed"] == {
        "value": 1.5,
        "unit": "mm/s",
    }
    streams = {stream["stream"]: stream["rows"] for stream in found["streams"]}
    assert streams == {"stage": 5, "meter": 5, "run.r1": 5}
    with pytest.raises(UnknownRunError, match="several"):
        catalogue.get("r")


def test_notes_tags_and_keys_outlive_the_index(catalogue, archive):
    catalogue.annotate("r1", note="the good one", keys={"sample": "Z", "n": 3}, add_tags=["paper"])
    catalogue.annotate("r1", keys={"n": None}, add_tags=["a"], remove_tags=["a"])
    assert ids(catalogue, "sample = 'Z'") == ids(catalogue, "tag = 'paper'") == ["r1"]
    assert ids(catalogue, "key.n = 3") == []
    for end in ("", "-wal", "-shm"):
        (archive.path / f"catalogue.sqlite{end}").unlink(missing_ok=True)
    again = Catalogue(archive.path)
    assert sorted(again.reindex()["read"]) == ["r1.h5", "r2.h5", "r3.h5"]
    found = again.get("r1")
    assert (found["note"], found["tags"], found["keys"]) == (
        "the good one",
        ["paper"],
        {"sample": "Z"},
    )
    again.close()


@pytest.mark.parametrize("keys", [{"not ok": 1}, {"a": [1]}, {"": "x"}])
def test_keys_that_could_not_be_found_again_are_refused(catalogue, keys):
    with pytest.raises(BadRequestError):
        catalogue.annotate("r1", keys=keys)
    with pytest.raises(BadRequestError):
        catalogue.annotate("r1", add_tags=["two words"])


def test_only_what_changed_is_read_again(catalogue, archive):
    assert catalogue.refresh() == {"read": [], "gone": [], "refused": []}
    (archive.path / "r1.h5").unlink()
    (archive.path / "no.h5").write_text("no recording")
    archive.record("r4")
    assert catalogue.refresh() == {"read": ["r4.h5"], "gone": ["r1.h5"], "refused": ["no.h5"]}
    assert ids(catalogue, "") == ["r2", "r3", "r4"]


def test_two_recordings_are_compared(catalogue):
    found = compare(catalogue.get("r1"), catalogue.get("r3"))
    assert found["parameters"] == {
        "good": [None, True],
        "sample": ["X", "Y"],
        "temperature": [250, None],
    }
    assert found["settings"] == {}
    assert found["script"][2:] == ["@@ -1 +1 @@", "-print(1)", "+print(2)"]


def test_a_recording_is_deleted_only_when_confirmed(catalogue, archive):
    catalogue.annotate("r1", note="x")
    with pytest.raises(BadRequestError, match="confirm"):
        catalogue.delete("r1", confirm="yes")
    assert (archive.path / "r1.h5").exists()
    catalogue.delete("r1", confirm="r1")
    assert ids(catalogue, "") == ["r2", "r3"]
    assert not (archive.path / "r1.h5").exists()
    assert not notes_path(archive.path / "r1.h5").exists()
    assert not (archive.path / "journals" / "r1").exists()


def test_a_recording_that_grows_is_there_and_not_deleted(archive):
    file = archive.record("r9", end=False)
    catalogue = Catalogue(archive.path)
    catalogue.note(file)
    assert catalogue.get("r9")["state"] == "recording"
    with pytest.raises(BusyError):
        catalogue.delete("r9", confirm="r9")
    catalogue.close()


def test_many_read_while_one_writes(catalogue, archive):
    errors = []

    def read():
        mine = Catalogue(archive.path)
        try:
            for _ in range(30):
                assert len(mine.find("sample")) == 3
        except Exception as error:
            errors.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for n in range(20):
        catalogue.annotate("r1", keys={"n": n})
    catalogue.reindex()
    for thread in threads:
        thread.join()
    assert errors == []


def test_a_catalogue_of_another_version_is_made_anew(archive):
    archive.record("r1")
    with sqlite3.connect(archive.path / "catalogue.sqlite") as db:
        db.execute("CREATE TABLE recordings (x)")
        db.execute("PRAGMA user_version = 99")
    db.close()
    catalogue = Catalogue(archive.path)
    catalogue.refresh()
    assert ids(catalogue, "") == ["r1"]
    json.dumps(catalogue.get("r1"))
    catalogue.close()


def test_times_without_a_zone_are_of_this_place():
    here = datetime(2026, 3, 1, 12).astimezone()
    sql, values = to_sql("start >= '2026-03-01 12:00'")
    assert "start_nanos >= ?" in sql
    assert values == [int(here.timestamp()) * 10**9]
