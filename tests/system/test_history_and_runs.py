"""A running daemon's history and catalogue: over gRPC, by the shell, after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import event_model
import numpy as np
import pytest

import ringdaq
from ringdaq.errors import BadRequestError, UnknownRunError, UnknownStreamError

SCRIPT = """
for i in range(5):
    stage.move_abs(i * 0.5)
    emit(position=stage.position(), power=power_meter.read(), note="n%d" % i)
"""
EEG = """
[[instrument]]
name = "eeg"
driver = "simulated.eeg"
simulated = true
[instrument.options]
channels = 4
rate_hz = 500
"""


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(gateway=True, more=EEG)


@pytest.fixture
def client(daemon):
    card = json.loads((daemon.state / "daemon.json").read_text())
    token = Path(card["token_file"]).read_text().strip()
    with ringdaq.connect(card["grpc_address"], token=token) as found:
        yield found


def record(client, **parameters):
    """One run; returns its record once the catalogue knows that it is sealed."""
    run = client.wait(client.start(client.upload(SCRIPT, "five.py"), parameters=parameters))
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = client.find_runs(f"run = '{run.run_id}' and sealed")
        if found:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("the catalogue does not know the run")


def shell(daemon, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ringdaq.cli", "--state", str(daemon.state), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def wait_rows(client, rows):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if client.history("eeg").rows >= rows:
            return
        time.sleep(0.05)
    raise AssertionError("the stream does not grow")


def test_history_is_exact_or_folded_and_begins_before_the_asker_came(client):
    wait_rows(client, 600)
    exact = client.history("eeg", since="1h")
    assert not exact.folded
    assert np.array_equal(np.diff(exact.times), np.full(exact.rows - 1, 2_000_000))
    until = int(exact.times[-1])
    folded = client.history("eeg", until=until, max_points=40)
    assert folded.folded
    assert folded.rows == exact.rows
    assert 2 * len(folded.counts) <= 40
    ends = np.cumsum(folded.counts)
    for name in folded.channels:
        values = exact.values(name)
        parts = np.split(values, ends[:-1])
        assert np.array_equal(folded.low(name), [part.min() for part in parts])
        assert np.array_equal(folded.high(name), [part.max() for part in parts])
    times, line = folded.line(folded.channels[0])
    assert len(times) == len(line) == 2 * len(folded.counts)
    one = client.history("eeg", until=until, max_points=40, channels=[folded.channels[2]])
    assert one.channels == [folded.channels[2]]


def test_what_makes_no_sense_is_refused(client):
    with pytest.raises(UnknownStreamError, match="camera"):
        client.history("nothing")
    with pytest.raises(BadRequestError):
        client.history("eeg", since=10, until=5)
    with pytest.raises(BadRequestError):
        client.history("eeg", channels=["nothing"])
    with pytest.raises(BadRequestError):
        client.history("eeg", since="soon")
    with pytest.raises(BadRequestError):
        client.history("eeg", max_points=1)


def test_after_the_rings_are_gone_the_files_answer(start_daemon, daemon, client):
    run = record(client)
    rows = client.history("stage")
    eeg = client.history("eeg")
    client.close()
    daemon.stop()
    again = start_daemon(gateway=True, more=EEG)
    card = json.loads((again.state / "daemon.json").read_text())
    token = Path(card["token_file"]).read_text().strip()
    with ringdaq.connect(card["grpc_address"], token=token) as late:
        for stream, before in (("stage", rows), ("eeg", eeg)):
            found = late.history(stream, since=run.start_nanos - 10**9)
            recorded = next(s for s in run.streams if s.stream == stream)
            inside = (found.times >= recorded.first_nanos) & (found.times <= recorded.last_nanos)
            seen = (before.times >= recorded.first_nanos) & (before.times <= recorded.last_nanos)
            assert inside.sum() == recorded.rows
            assert np.array_equal(found.times[inside], before.times[seen])
            name = before.channels[0]
            assert np.array_equal(found.values(name)[inside], before.values(name)[seen])
        assert any(gap.rows for gap in late.history("eeg", since=run.start_nanos).gaps)


def test_runs_are_found_annotated_compared_and_deleted(daemon, client):
    first, second = record(client, sample="X", temperature=310), record(client, sample="Y")
    assert [r.recording_id for r in client.find_runs("sample = 'X' and temperature > 300")] == [
        first.recording_id
    ]
    assert client.find_runs("nothing = 1") == []
    with pytest.raises(BadRequestError, match="character"):
        client.find_runs("sample = X")
    client.annotate(first, note="good", tags=["paper"], operator="ada")
    assert client.run(first).keys == {"operator": "ada"}
    found = client.compare(first, second)
    assert found.parameters == {"sample": ["X", "Y"], "temperature": [310, None]}
    assert found.script == []
    assert second.recording_id in shell(daemon, "runs", "find", "sample = 'Y'")
    assert shell(daemon, "runs", "find", "tag = 'paper'", "--json").count("recording_id") == 1
    shell(daemon, "runs", "show", first.recording_id)
    shell(daemon, "runs", "compare", first.recording_id, second.recording_id)
    shell(daemon, "runs", "annotate", second.recording_id, "sample=Z", "--tag", "t")
    assert client.run(second).keys == {"sample": "Z"}
    with pytest.raises(BadRequestError):
        client.delete_run(first, confirm="yes")
    client.delete_run(first, confirm=first.recording_id)
    with pytest.raises(UnknownRunError):
        client.run(first)
    assert len(client.reindex_runs()) == 1
    assert client.run(second).tags == ["t"]
    assert "1 recordings" in shell(daemon, "runs", "reindex")
    shell(daemon, "runs", "delete", second.recording_id, "--yes")
    assert client.find_runs() == []


def test_documents_are_valid_and_complete(daemon, client):
    run = record(client, sample="X")
    documents = list(run.documents())
    for name, document in documents:
        event_model.schema_validators[event_model.DocumentNames[name]].validate(document)
    names = [name for name, _ in documents]
    assert (names[0], names[-1]) == ("start", "stop")
    by_uid = {d["uid"]: d for n, d in documents if n == "descriptor"}
    pages = [d for n, d in documents if n == "event_page"]
    emitted = next(p for p in pages if "position" in p["data"] and "note" in p["data"])
    assert emitted["data"]["note"] == [f"n{i}" for i in range(5)]
    assert by_uid[emitted["descriptor"]]["run_start"] == documents[0][1]["uid"]
    data = {d["stream_resource"] for n, d in documents if n == "stream_datum"}
    assert data == {d["uid"] for n, d in documents if n == "stream_resource"}
    rows = {s.path: s.rows for s in run.streams}
    assert documents[-1][1]["num_events"] == rows
    lines = shell(daemon, "runs", "documents", run.recording_id).splitlines()
    assert [json.loads(line)[1]["uid"] for line in lines] == [d["uid"] for _, d in documents]


def test_the_shell_tells_history(daemon, client):
    wait_rows(client, 200)
    lines = shell(daemon, "history", "eeg", "--last", "10s", "--points", "20").splitlines()
    assert 1 <= len(lines) <= 10
    found = json.loads(shell(daemon, "history", "eeg", "--exact", "--json"))
    assert len(found["times"]) == len(next(iter(found["channels"].values()))["values"])
    shell(daemon, "history", "nothing", code=2)
    shell(daemon, "history", "eeg", "--last", "soon", code=2)
