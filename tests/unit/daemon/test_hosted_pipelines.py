"""A pipeline as the daemon sees it: what its process says, and when it may be started."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from run_stand import until

from ringdaq.daemon import hosted as hosted_module
from ringdaq.daemon.hosted import HostedPipeline
from ringdaq.daemon.pipeline_rings import PipelineRings
from ringdaq.errors import BadRequestError, PipelineBusyError, PipelineStoppedError, ServiceError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import RingDirectory, StreamWriter

ENDS_WHEN_TOLD = "import sys; sys.exit(int(sys.stdin.readline() or 0))"
PATIENCE_SECS = 30.0


class Stand:
    """A hosted pipeline whose processes end with the code that they are told."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.spawning = threading.Event()
        self.may_spawn = threading.Event()
        self.may_spawn.set()
        config: Any = SimpleNamespace(
            name="clean", preset="", text="", path=Path("p.toml"), hash="", code=dict
        )
        publisher: Any = SimpleNamespace(disown=lambda stream: None)
        desk: Any = SimpleNamespace()
        self.hosted = HostedPipeline(
            config, inline=False, results=(), spawn=self._spawn, publisher=publisher, desk=desk
        )

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        assert name == "clean"
        self.spawning.set()
        assert self.may_spawn.wait(PATIENCE_SECS)
        command = [sys.executable, "-S", "-c", ENDS_WHEN_TOLD]
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        self.processes.append(process)
        return process

    def end(self, code: int) -> None:
        """Let the newest process end."""
        process = self.processes[-1]
        assert process.stdin is not None
        process.stdin.write(f"{code}\n".encode())
        process.stdin.close()

    def say(self, send: Callable[..., None], state: str, error: str = "") -> None:
        self.hosted.report(send, state, error, [], {})

    def close(self) -> None:
        self.may_spawn.set()
        self.hosted.stop()
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def stand() -> Iterator[Stand]:
    made = Stand()
    yield made
    made.close()


def nobody(event: str, params: dict[str, Any]) -> None:
    """A process that answers nothing."""


def test_a_pipeline_that_failed_and_is_started_again_says_how_it_is(stand: Stand) -> None:
    stand.hosted.start({})
    stand.hosted.attach(nobody)
    stand.say(nobody, "running")
    stand.say(nobody, "failed", "a bad moment")
    stand.hosted.detach(nobody)
    stand.end(1)
    until(lambda: len(stand.processes) == 2)
    assert stand.hosted.error == "a bad moment"
    stand.hosted.attach(nobody)
    stand.say(nobody, "ready")
    assert stand.hosted.error == "a bad moment"
    stand.say(nobody, "running")
    told = stand.hosted.describe()
    assert (told["state"], told["error"], told["restarts"]) == ("running", "", 1)
    assert told["pid"] == stand.processes[-1].pid
    with pytest.raises(PipelineBusyError, match="runs already; it is running"):
        stand.hosted.start({})
    assert len(stand.processes) == 2


@pytest.mark.parametrize(("code", "state"), [(0, "ended"), (2, "failed"), (5, "failed")])
def test_only_the_end_of_its_process_is_its_end(stand: Stand, code: int, state: str) -> None:
    stand.hosted.start({})
    stand.hosted.attach(nobody)
    stand.say(nobody, "running")
    stand.say(nobody, state, "why")
    assert stand.hosted.state == "running"
    stand.hosted.detach(nobody)
    with pytest.raises(PipelineBusyError, match="runs already"):
        stand.hosted.start({})
    stand.end(code)
    until(lambda: stand.hosted.state == state)
    assert not stand.hosted.at_work
    with pytest.raises(PipelineStoppedError, match=f"it is {state}: why"):
        stand.hosted.ask("stats", {})
    stand.hosted.start({})
    assert len(stand.processes) == 2


def test_of_two_who_start_it_at_once_one_does(stand: Stand) -> None:
    stand.may_spawn.clear()
    first = threading.Thread(target=stand.hosted.start, args=({"band.low_hz": 2.0},))
    first.start()
    assert stand.spawning.wait(PATIENCE_SECS)
    with pytest.raises(PipelineBusyError, match="just being started or stopped"):
        stand.hosted.start({})
    stand.may_spawn.set()
    first.join(PATIENCE_SECS)
    assert len(stand.processes) == 1
    assert stand.hosted.parameters == {"band.low_hz": 2.0}


def test_its_streams_are_listed_before_it_is_ready(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[str] = []
    monkeypatch.setattr(
        PipelineRings, "take", lambda self, path, generation: states.append(stand.hosted.state)
    )
    stand.hosted.start({})
    stand.hosted.attach(nobody)
    ring = {"path": "clean.1.ring", "generation": "1"}
    stand.hosted.report(nobody, "ready", "", [ring], {})
    assert (states, stand.hosted.state) == (["starting"], "ready")


def test_only_its_own_process_may_report(stand: Stand) -> None:
    stand.hosted.start({})
    stand.hosted.attach(nobody)
    stand.say(nobody, "running")
    stand.hosted.detach(nobody)
    with pytest.raises(BadRequestError, match="only the process of pipeline 'clean'"):
        stand.say(nobody, "paused")
    assert stand.hosted.state == "restarting"
    stand.hosted.stop()
    with pytest.raises(PipelineStoppedError, match="it is stopped"):
        stand.hosted.attach(nobody)


def test_a_process_that_says_nothing_is_killed(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted_module, "SILENT_SECS", 0.2)
    stand.hosted.start({})
    stand.hosted.look_after()
    assert stand.processes[0].poll() is None
    stand.hosted.attach(nobody)

    def next_one() -> bool:
        stand.hosted.look_after()
        return len(stand.processes) == 2

    until(next_one)
    assert stand.processes[0].returncode == -9
    assert stand.hosted.state == "restarting"


def test_a_process_that_has_left_and_does_not_end_is_killed(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted_module, "LEAVE_SECS", 0.0)
    stand.hosted.start({})
    stand.hosted.attach(nobody)
    stand.hosted.detach(nobody)
    stand.hosted.look_after()
    until(lambda: len(stand.processes) == 2)


def test_a_change_without_an_answer_ends_the_process(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted_module, "SET_SECS", 0.05)
    stand.hosted.start({"band.low_hz": 2.0})
    stand.hosted.attach(nobody)
    with pytest.raises(ServiceError, match="did not answer 'set'"):
        stand.hosted.change({"band.low_hz": 3.0})
    until(lambda: len(stand.processes) == 2)
    assert stand.hosted.parameters == {"band.low_hz": 2.0}


# --- its rings

SPEC = StreamSpec("clean", "rows", (Channel("value", "float64"),))


def generation(directory: Path) -> StreamWriter:
    return StreamWriter.create(directory, SPEC, capacity_bytes=1 << 16)


class RingStand:
    """The rings of a pipeline, and which generations a recording was told to go on with."""

    def __init__(self, directory: Path) -> None:
        self.followed: list[tuple[str, str]] = []
        self.listed: dict[str, str] = {}
        publisher: Any = SimpleNamespace(
            rings=RingDirectory(directory),
            adopt=lambda ring: self.listed.update({ring.spec.name: ring.generation}),
            disown=lambda stream: self.listed.pop(stream, None),
        )
        desk: Any = SimpleNamespace(
            succeed=lambda old, new, _: self.followed.append((old.generation, new.generation))
        )
        self.rings = PipelineRings("clean", publisher, desk)
        self.rings.begin()

    def take(self, writer: StreamWriter) -> None:
        self.rings.take(writer.path, writer.generation)


def test_generations_follow_each_other_however_soon_they_come(tmp_path: Path) -> None:
    stand = RingStand(tmp_path)
    first, second, third = (generation(tmp_path) for _ in range(3))
    stand.take(first)
    stand.take(second)
    third.append(2, 3.0)
    stand.take(third)
    second.append(1, 2.0)
    until(lambda: len(stand.followed) == 2)
    names = [writer.generation for writer in (first, second, third)]
    assert stand.followed == [(names[0], names[1]), (names[1], names[2])]
    until(lambda: stand.listed == {"clean": names[2]})
    for writer in (first, second, third):
        writer.close()


def test_a_generation_without_a_row_is_left_out(tmp_path: Path) -> None:
    stand = RingStand(tmp_path)
    first, second, third = (generation(tmp_path) for _ in range(3))
    stand.take(first)
    second.close()
    stand.take(second)
    third.append(2, 3.0)
    stand.take(third)
    until(lambda: stand.followed == [(first.generation, third.generation)])
    first.close()
    third.close()


def test_nothing_is_listed_after_the_end(tmp_path: Path) -> None:
    stand = RingStand(tmp_path)
    first, second = (generation(tmp_path) for _ in range(2))
    stand.take(first)
    stand.take(second)
    stand.rings.end()
    second.append(1, 2.0)
    until(lambda: len(stand.followed) == 1)
    assert stand.listed == {}
    assert stand.rings.streams == ["clean"]
    first.close()
    second.close()
