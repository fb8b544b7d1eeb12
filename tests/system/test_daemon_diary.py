"""What a run says and does: in its status, in its streams and in its file."""

import h5py
import pytest

from ringdaq.streams import attach

SCRIPT = """\
log("begin", level="debug")
for i in range(3):
    stage.move_abs(i * 0.5)
    emit(signal=power_meter.read())
    sleep(0.15)
try:
    stage.move_abs(99)
except LimitError as error:
    log(error, level="warning")
print("done")
"""


@pytest.fixture
def ended(start_daemon):
    daemon = start_daemon()
    status = daemon.run(SCRIPT)
    assert status["state"] == "completed", status["error"]
    return daemon, status


def test_the_status_has_levels_lines_verbs_and_live_values(ended):
    _, status = ended
    said = [(entry["level"], entry["line"]) for entry in status["log"]]
    assert said == [("debug", 1), ("warning", 9), ("info", 10)]
    assert status["log"][-1]["text"] == "done"
    done = [(entry["verb"], entry["line"], entry["error"]) for entry in status["trace"]]
    assert done[:2] == [("stage.move_abs", 3, ""), ("power_meter.read", 4, "")]
    assert done[-1] == ("stage.move_abs", 7, "LimitError")
    assert all(entry["secs"] >= 0 for entry in status["trace"])
    assert status["live_values"]["stage.position"] == 1.0
    assert status["live_values"][f"run.{status['run_id']}.signal"] > 0
    assert status["throttled_secs"] == 0


def test_a_run_keeps_what_it_was(ended):
    daemon, status = ended
    assert status["instruments"] == ["power_meter", "stage"]
    stored = daemon.control().call("scripts.get", {"script_id": status["script_id"]})
    assert (stored["content"], stored["hash"]) == (SCRIPT, status["script_hash"])


def test_the_streams_have_all_of_it(ended):
    daemon, status = ended
    rows = {}
    for kind in ("log", "trace", "progress"):
        with attach(f"run.{status['run_id']}.{kind}", directory=daemon.rings) as stream:
            rows[kind] = [r.columns() for r in stream.follow("oldest", timeout=5)]
    assert [t for r in rows["log"] for t in r["text"]][-1] == "done"
    assert [v for r in rows["trace"] for v in r["verb"]].count("stage.move_abs") == 4
    assert rows["progress"][-1]["percent"][-1] == 100.0


def test_the_file_has_all_of_it(ended):
    _, status = ended
    run = f"run.{status['run_id']}"
    with h5py.File(status["recording"]["file"]) as file:
        found = {}
        file.visititems(lambda name, item: found.update({name: item}))
        texts = next(item for name, item in found.items() if name.endswith(f"{run}.log/text"))
        assert texts.asstr()[-1] == "done"
        verbs = next(item for name, item in found.items() if name.endswith(f"{run}.trace/verb"))
        assert list(verbs.asstr()).count("power_meter.read") == 3
        assert any(name.endswith(f"{run}.progress/percent") for name in found)
