"""The queue, dry runs and a script's text, over the network."""

import asyncio
import time

import pytest

import ringdaq
from ringdaq.errors import BadRequestError, LimitError, ScriptRejectedError

MOVES = "def main(stage: Movable, far: float = 1.0):\n    emit(x=stage.move_abs(far))\n"


@pytest.fixture
def client(start_daemon, monkeypatch):
    daemon = start_daemon(recorder=False, gateway=True)
    monkeypatch.setenv("RINGDAQ_STATE", str(daemon.state))
    with ringdaq.connect() as client:
        yield client


def test_the_queue_is_ordered_and_changed_from_afar(client):
    script = client.upload(MOVES, name="moves.py")
    assert client.queue.pause().paused
    one = client.queue.add(script)
    two = client.queue.add(
        "moves.py", {"far": 2.0}, ["stage"], repeat=2, on_failure="continue", dry_run=False
    )
    assert (one.repeat, one.on_failure, one.instruments, one.running) == (1, "stop", None, False)
    assert one.expected.points == 1
    assert (two.expected, two.instruments, two.on_failure) == (None, ["stage"], "continue")
    client.queue.move(two, 0)
    client.queue.edit(one, parameters={"far": 3.0}, repeat=1, on_failure="continue")
    found = client.queue.list()
    assert [e.entry_id for e in found.entries] == [two.entry_id, one.entry_id]
    assert found.entries[1].parameters == {"far": 3.0}
    assert not client.queue.resume().paused
    deadline = time.monotonic() + 30
    while client.queue.list().entries:
        assert time.monotonic() < deadline, "the queue did not come to its end"
        time.sleep(0.02)
    done = [run.parameters["far"] for run in reversed(client.runs(limit=10))]
    assert done == [2.0, 2.0, 3.0]


def test_what_is_wrong_is_told(client):
    client.queue.pause()
    script = client.upload(MOVES, name="moves.py")
    with pytest.raises(ScriptRejectedError, match="found 99"):
        client.queue.add(script, {"far": 99.0})
    with pytest.raises(BadRequestError, match="on_failure must be one of stop, continue"):
        client.queue.add(script, on_failure="explode")
    with pytest.raises(BadRequestError, match="no entry 'nothing'"):
        client.queue.remove("nothing")
    assert client.queue.list().entries == []


def test_a_dry_run_is_reported(client):
    script = client.upload(MOVES, name="moves.py")
    good, bad = client.dry_run(script), client.dry_run(script, {"far": 99.0})
    assert (good.state, good.points, good.violations, good.failure) == ("completed", 1, [], None)
    assert good.streams["run"] == (1, 16)
    assert (bad.state, bad.line, bad.violations[0].line) == ("failed", 2, 2)
    assert isinstance(bad.failure, LimitError)
    assert client.runs() == []


def test_a_run_keeps_its_script_and_tells_all_of_it(client):
    script = client.upload(MOVES, name="moves.py")
    assert client.script_text(script) == client.script_text("moves.py") == MOVES
    status = client.wait(client.start(script), timeout=30)
    assert status.script_hash == script.hash
    assert [entry.verb for entry in status.trace] == ["stage.move_abs"]
    assert status.live_values["stage.position"] == 1.0
    assert status.parameters == {"far": 1.0}


def test_the_async_client_has_the_same_queue(client):
    async def use():
        other = await ringdaq.connect_async()
        script = await other.upload(MOVES, name="moves.py")
        await other.queue.pause()
        entry = await other.queue.add(script)
        await other.queue.edit(entry, repeat=4)
        report = await other.dry_run(script)
        found = await other.queue.list()
        await other.queue.remove(entry)
        await other.close()
        return report, found

    report, found = asyncio.run(use())
    assert report.points == 1
    assert [e.repeat for e in found.entries] == [4]
    assert client.queue.resume().entries == []
