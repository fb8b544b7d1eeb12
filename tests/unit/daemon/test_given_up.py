"""What becomes of a command whose caller does not wait for it any more."""

import threading
from functools import partial

import pytest
from run_stand import RunStand, until

from ringdaq.control import Channel, connect_socket
from ringdaq.daemon.api import Api
from ringdaq.daemon.control_server import THREADS, ControlServer
from ringdaq.errors import from_wire

PATIENCE_SECS = 30.0


class Peer:
    """Speaks the control socket's wire by hand."""

    def __init__(self, path):
        self.channel = Channel(connect_socket(path))
        self.answers = {}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        while (message := self.channel.receive()) is not None:
            self.answers[message["id"]] = message

    def command(self, number, verb, *args, **more):
        params = {"instrument": "stage", "verb": verb, "args": list(args), **more}
        self.channel.send({"id": number, "method": "instruments.call", "params": params})

    def give_up(self, number):
        self.channel.send({"withdraw": number})

    def answer(self, number):
        return until(lambda: self.answers.get(number))

    def close(self):
        self.channel.close()
        self._thread.join(PATIENCE_SECS)


class HangingStage:
    """The stand's stage, whose motions to 1 mm begin and come back when they are released."""

    def __init__(self, stand, monkeypatch):
        self.begun, self.release = threading.Semaphore(0), threading.Event()
        self.targets = []
        driver = stand.drivers["stage"]
        monkeypatch.setattr(driver, "move_abs", partial(self._move, driver.move_abs))

    def _move(self, move, target):
        self.targets.append(target)
        if target == 1.0:
            self.begun.release()
            assert self.release.wait(PATIENCE_SECS)
        return move(target)

    def begins(self):
        assert self.begun.acquire(timeout=PATIENCE_SECS)


@pytest.fixture
def stand(tmp_path, ring_directory):
    stand = RunStand(tmp_path, ring_directory)
    yield stand
    stand.close()


@pytest.fixture
def stage(stand, monkeypatch):
    stage = HangingStage(stand, monkeypatch)
    yield stage
    stage.release.set()


@pytest.fixture
def path(stand, tmp_path):
    api = Api(
        rig=stand.rig, hosts=stand.hosts, publisher=stand.publisher, desk=stand.desk,
        runs=stand.runs, queue=None, store=stand.store, audit=stand.audit, pid=0, stop=lambda: None,
    )  # fmt: skip
    server = ControlServer(tmp_path / "socket", api.methods())
    server.start()
    yield server.path
    server.close()


@pytest.fixture
def peer(path):
    peer = Peer(path)
    yield peer
    peer.close()


def until_in_line(stand, count):
    until(lambda: stand._links["stage"].waiting == count)


def test_a_command_that_waits_in_line_is_not_carried_out_late(stand, stage, peer):
    peer.command(1, "move_abs", 1.0)
    stage.begins()
    peer.command(2, "move_abs", 2.0)
    until_in_line(stand, 1)
    peer.give_up(2)
    peer.command(3, "position")
    until_in_line(stand, 2)
    stage.release.set()
    assert peer.answer(1)["result"] == {"value": 1.0}
    assert "gave it up" in str(from_wire(peer.answer(2)["error"]))
    assert peer.answer(3)["result"] == {"value": 1.0}
    assert stage.targets == [1.0]


def test_a_command_that_has_begun_goes_on(stage, peer):
    peer.command(1, "move_abs", 1.0)
    stage.begins()
    peer.give_up(1)
    stage.release.set()
    assert peer.answer(1)["result"] == {"value": 1.0}


def test_a_stop_is_carried_out_whoever_waits_for_it(stand, stage, peer, monkeypatch):
    stopping, stops = threading.Event(), []

    def stop():
        stopping.wait(PATIENCE_SECS)
        stops.append("stop")

    monkeypatch.setattr(stand.drivers["stage"], "stop", stop)
    for number in range(THREADS["urgent"] + 1):
        peer.command(number, "stop")
        peer.give_up(number)
    stopping.set()
    for number in range(THREADS["urgent"] + 1):
        assert "result" in peer.answer(number)
    assert len(stops) == THREADS["urgent"] + 1


def test_what_no_thread_has_taken_up_is_answered_at_once(stand, stage, peer):
    peer.command(0, "move_abs", 1.0)
    stage.begins()
    questions = THREADS["questions"]
    for number in range(1, questions + 2):
        peer.command(number, "position")
    until_in_line(stand, questions)
    for number in range(1, questions + 2):
        peer.give_up(number)
    assert "taken back" in str(from_wire(peer.answer(questions + 1)["error"]))
    assert set(peer.answers) == {questions + 1}
    stage.release.set()
    assert "result" in peer.answer(1)


def test_a_peer_that_leaves_gives_up_all(stand, stage, path):
    leaving, staying = Peer(path), Peer(path)
    staying.command(1, "move_abs", 1.0)
    stage.begins()
    leaving.command(1, "move_abs", 2.0)
    until_in_line(stand, 1)
    leaving.close()
    staying.command(2, "position")
    until_in_line(stand, 2)
    stage.release.set()
    assert staying.answer(2)["result"] == {"value": 1.0}
    assert stage.targets == [1.0]
    staying.close()


def test_a_key_that_was_taken_back_in_time_can_be_sent_again(stand, stage, peer):
    peer.command(1, "move_abs", 1.0)
    stage.begins()
    peer.command(2, "move_abs", 2.0, key="k")
    until_in_line(stand, 1)
    peer.give_up(2)
    peer.command(3, "position")
    until_in_line(stand, 2)
    stage.release.set()
    peer.answer(3)
    assert "error" in peer.answer(2)
    peer.command(4, "move_abs", 2.0, key="k")
    assert peer.answer(4)["result"] == {"value": 2.0}


def test_a_key_whose_command_had_begun_is_kept(stage, peer):
    peer.command(1, "move_abs", 1.0, key="k")
    stage.begins()
    peer.give_up(1)
    stage.release.set()
    assert peer.answer(1)["result"] == {"value": 1.0}
    peer.command(2, "move_abs", 1.0, key="k")
    assert peer.answer(2)["result"] == {"value": 1.0}
    assert stage.targets == [1.0]
