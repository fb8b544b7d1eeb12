"""Scripts, runs and the audit log survive a restart."""

import json
import math
import sqlite3
from contextlib import closing

import msgpack
import pytest

from ringdaq.daemon.audit import Audit
from ringdaq.daemon.store import _STEPS, Store
from ringdaq.daemon.tail import HALF_BYTES, Tail
from ringdaq.errors import UnknownRunError, UnknownScriptError, VersionMismatchError


def run_status(run_id, state="running", created=1):
    return {
        "run_id": run_id, "script_id": "s1", "script_name": "scan", "state": state,
        "created_nanos": created, "ended_nanos": 0,
    }  # fmt: skip


def save_script(store, script_id, name, content="x = 1\n"):
    store.save_script(
        script_id=script_id,
        name=name,
        digest="d",
        content=content,
        metadata={"sample": "A"},
        parameters="n: int",
    )


def test_scripts_and_runs_are_there_after_a_restart(tmp_path):
    store = Store(tmp_path / "db")
    save_script(store, "s1", "scan")
    store.save_run(run_status("r1", "completed"))
    store.close()
    again = Store(tmp_path / "db")
    assert again.script("s1")["content"] == "x = 1\n"
    assert again.script("s1")["metadata"] == {"sample": "A"}
    assert again.scripts()[0]["parameters"] == "n: int"
    assert again.run("r1")["state"] == "completed"
    again.close()


def test_a_script_is_found_by_id_first_and_else_by_its_newest_name(tmp_path):
    store = Store(tmp_path / "db")
    save_script(store, "s1", "scan", "old\n")
    save_script(store, "s2", "scan", "new\n")
    assert store.script("s1")["content"] == "old\n"
    assert store.script("scan")["content"] == "new\n"
    with pytest.raises(UnknownScriptError, match="'nothing'"):
        store.script("nothing")
    with pytest.raises(UnknownRunError, match="'nothing'"):
        store.run("nothing")
    store.close()


def test_runs_are_listed_newest_first_and_filtered(tmp_path):
    store = Store(tmp_path / "db")
    for number, state in enumerate(["completed", "failed", "completed"]):
        store.save_run(run_status(f"r{number}", state, created=number))
    assert [r["run_id"] for r in store.runs()] == ["r2", "r1", "r0"]
    assert [r["run_id"] for r in store.runs(state="completed")] == ["r2", "r0"]
    assert [r["run_id"] for r in store.runs(limit=1)] == ["r2"]
    assert store.runs(script_id="other") == []
    store.close()


def test_runs_left_open_by_a_dead_daemon_become_interrupted(tmp_path):
    store = Store(tmp_path / "db")
    store.save_run(run_status("open"))
    store.save_run(run_status("done", "completed"))
    assert store.interrupt_open_runs() == ["open"]
    assert store.run("open")["state"] == "interrupted"
    assert store.run("open")["ended_nanos"] > 0
    assert store.run("done")["state"] == "completed"
    store.close()


def test_a_keyed_command_is_carried_out_once(tmp_path):
    store = Store(tmp_path / "db")
    assert store.begin_command("k") == (True, None)
    assert store.begin_command("k") == (False, None)
    store.end_command("k", {"value": 3.5})
    assert store.begin_command("k") == (False, {"value": 3.5})
    store.close()


def test_the_audit_log_keeps_every_entry_in_order(tmp_path):
    store = Store(tmp_path / "db")
    audit = Audit(store, tmp_path / "tail")
    for number in range(1200):
        audit.note("ada", "call", "stage.move_abs", old=number, new=number + 1)
    audit.flush()
    newest = store.audit(1000)
    assert [e["old"] for e in newest[:3]] == ["1199", "1198", "1197"]
    assert newest[0]["who"] == "ada"
    audit.close()
    assert len(store.audit(10_000)) == 1200
    store.close()


def test_values_stand_in_the_audit_log_as_json(tmp_path):
    values = [1.5, -0.0, 1e300, 5e-324, 0.1 + 0.2, math.inf, math.nan, 3, True, None, "a", [1.5]]
    store = Store(tmp_path / "db")
    audit = Audit(store, tmp_path / "tail")
    for value in values:
        audit.note("ada", "call", "stage.move_abs", old=value, new=value)
    audit.close()
    found = [(entry["old"], entry["new"]) for entry in reversed(store.audit(100))]
    assert found == [(json.dumps(value), json.dumps(value)) for value in values]
    store.close()


def test_what_was_noted_and_not_yet_stored_is_stored_by_the_next_daemon(tmp_path):
    tail = Tail(tmp_path / "tail")
    for number in (1, 2, 3):
        assert tail.add(msgpack.packb((number, 5, "ada", "call", "stage.stop", None, 1.5, "ok")))
    tail.swap()
    assert tail.add(msgpack.packb((4, 6, "ada", "call", "stage.stop", None, [2], "ok")))
    store = Store(tmp_path / "db")
    store.add_audit([(1, 5, "ada", "call", "stage.stop", "null", "1.5", "ok")])
    audit = Audit(store, tmp_path / "tail")
    audit.note("eve", "call", "stage.stop")
    audit.close()
    found = store.audit(10)
    assert [(e["number"], e["who"], e["new"]) for e in found] == [
        (5, "eve", "null"), (4, "ada", "[2]"), (3, "ada", "1.5"), (2, "ada", "1.5"),
        (1, "ada", "1.5"),
    ]  # fmt: skip
    assert Tail(tmp_path / "tail").left() == []
    store.close()


def test_notes_wait_while_the_database_refuses(tmp_path):
    store = Store(tmp_path / "db")
    audit = Audit(store, tmp_path / "tail")
    other = sqlite3.connect(tmp_path / "db", isolation_level=None)
    other.execute("PRAGMA busy_timeout = 0")
    other.execute("BEGIN IMMEDIATE")
    for _ in range(3):
        audit.note("ada", "call", "x", new="y" * 100_000)
    assert len(Tail(tmp_path / "tail").left()) == 3
    other.execute("ROLLBACK")
    other.close()
    audit.flush()
    assert ["bytes)" in e["new"] for e in store.audit(10)] == [True] * 3
    audit.close()
    store.close()


def test_a_damaged_entry_is_told_and_the_others_are_kept(tmp_path, caplog):
    tail = Tail(tmp_path / "tail")
    assert tail.add(b"\xc1 no entry")
    assert tail.add(msgpack.packb((4, 6, "ada", "call", "stage.stop", None, [2], "ok")))
    assert tail.add(msgpack.packb([1, 2]))
    store = Store(tmp_path / "db")
    Audit(store, tmp_path / "tail").close()
    assert [e["number"] for e in store.audit(10)] == [4]
    assert "2 audit entries" in caplog.text
    store.close()


def test_a_tail_is_never_overfull_and_gives_back_what_it_took(tmp_path):
    tail = Tail(tmp_path / "tail")
    taken = 0
    while tail.add(b"%06d" % taken * 100):
        taken += 1
    assert taken == (HALF_BYTES - 4) // 604
    assert [int(e[:6]) for e in Tail(tmp_path / "tail").left()] == list(range(taken))
    tail.clear()
    assert tail.left() == []
    assert tail.add(b"x")


@pytest.mark.parametrize("junk", [b"\xff" * 64, b"\x00\x00\x08\x00" + b"x" * 60])
def test_a_damaged_tail_ends_where_it_is_damaged(tmp_path, junk):
    (tmp_path / "tail").write_bytes(junk)
    assert Tail(tmp_path / "tail").left() == []


def test_a_database_of_a_newer_version_is_refused(tmp_path):
    db = sqlite3.connect(tmp_path / "db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(VersionMismatchError, match="up to version 4; found 99"):
        Store(tmp_path / "db")


def test_the_scripts_of_an_older_version_are_kept(tmp_path):
    db = sqlite3.connect(tmp_path / "db")
    db.executescript(" ".join(_STEPS[:3]) + "PRAGMA user_version = 3;")
    db.execute("INSERT INTO scripts VALUES ('s1', 'scan', 'd', 'x = 1', 5, '{}')")
    db.commit()
    db.close()
    store = Store(tmp_path / "db")
    assert store.script("scan")["parameters"] == ""
    save_script(store, "s1", "scan")
    assert store.script("scan")["parameters"] == "n: int"
    store.close()


def test_what_was_refused_since_a_moment_is_found_among_much_that_was_not(tmp_path):
    store = Store(tmp_path / "db")
    outcomes = ["refused", "ok", "refused", *["ok"] * 20_000, "failed"]
    store.add_audit(
        [(n, n, "ada", "call", "stage.move_abs", "", "", how) for n, how in enumerate(outcomes, 1)]
    )
    store.close()
    store = Store(tmp_path / "db")
    audit = Audit(store, tmp_path / "tail")
    assert [e["number"] for e in audit.refused(2)] == [3, 20_004]
    audit.close()
    store.close()


def test_what_fails_in_the_middle_leaves_nothing_behind_and_the_next_one_free(tmp_path):
    store = Store(tmp_path / "db")
    store.save_queue([{"script": "kept"}])
    with closing(sqlite3.connect(tmp_path / "db")) as other:
        other.execute(
            "CREATE TRIGGER no BEFORE INSERT ON queue WHEN new.entry LIKE '%bad%' "
            "BEGIN SELECT RAISE(FAIL, 'refused'); END"
        )
    with pytest.raises(sqlite3.Error, match="refused"):
        store.save_queue([{"script": "good"}, {"script": "bad"}])
    assert store.queue_entries() == [{"script": "kept"}]
    store.save_queue([{"script": "next"}])
    store.save_run(run_status("r1"))
    store.close()
    again = Store(tmp_path / "db")
    assert again.queue_entries() == [{"script": "next"}]
    assert again.run("r1")["state"] == "running"
    again.close()
