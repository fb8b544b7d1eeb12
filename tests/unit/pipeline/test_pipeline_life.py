"""A pipeline's process: it lives while it prepares, waits for what is away, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from graph_stand import SINK, SOURCE, VOLTS, counts, graph_of, play, raw_stream, wait_until

from ringdaq.config import parse_pipeline
from ringdaq.errors import ConfigError, NotConnectedError, RecordingError, StreamError
from ringdaq.pipeline import check, process
from ringdaq.pipeline.endings import (
    AGAIN,
    ENDED,
    FAILED,
    FINAL,
    SPOILT,
    USAGE,
    exit_code,
    state_after,
)
from ringdaq.pipeline.process import PipelineProcess
from ringdaq.pipeline.sources.lsl_inlet import LslInlet
from ringdaq.pipeline.stages.rings import RingSource
from ringdaq.streams import StreamWriter

PATIENCE_SECS = 20.0
LSL = '[[stage]]\nname = "net"\ntype = "lsl_source"\nstream = "away"\n' + SINK

OTHER = (
    '[[stage]]\nname = "in2"\ntype = "ring_source"\nstream = "other"\n'
    '[[stage]]\nname = "out2"\ntype = "ring_sink"\n'
)
BESIDE = (
    '[[stage]]\nname = "beside"\ntype = "plugin"\nfile = "plugin.py"\n'
    'stage_type = "control_plane"\ninput = "volts"\n'
)
BROKEN = """
from ringdaq.pipeline import Plugin

class Broken(Plugin):
    name = "broken"
    description = "Takes nothing."

    def process(self, view):
        raise ValueError("no more")
"""


class Stand:
    """A process on a thread, and all that it reports as (state, error)."""

    def __init__(self, text: str, directory: Path) -> None:
        self.told: list[tuple[str, str]] = []
        self.order = {
            "name": "p", "text": text, "path": str(directory / "p.toml"), "inline": False,
            "preset": "", "hold": False, "parameters": {}, "directory": str(directory),
            "taken": [], "promised": [],
        }  # fmt: skip
        self.closed = threading.Event()
        self.process: Any = None
        self.outcome: Any = None

    def call(self, method: str, params: dict[str, Any] | None = None, **_: Any) -> Any:
        if method == "pipeline.report":
            assert params is not None
            self.told.append((params["state"], params["error"]))
        return self.order if method == "pipeline.attach" else {}

    def start(self) -> None:
        self.process = PipelineProcess(Path("control.sock"), "p")
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.process.run()
        except Exception as error:
            self.outcome = error

    def ask(self, verb: str) -> None:
        self.process._events.put(("pipeline.ask", {"ask": 1, "verb": verb, "params": {}}))

    def states(self) -> set[str]:
        return {state for state, _ in self.told}

    def stop(self) -> Any:
        self.process.stop()
        self._thread.join(PATIENCE_SECS)
        return self.outcome


@pytest.fixture
def stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Stand]:
    made = Stand(getattr(request, "param", SOURCE + VOLTS + SINK), tmp_path)
    client = SimpleNamespace(call=made.call, closed=made.closed, close=lambda: None)
    monkeypatch.setattr(process.ControlClient, "connect", lambda *_: client)
    monkeypatch.setattr(process, "BEAT_SECS", 0.01)
    monkeypatch.setattr(process, "AGAIN_SECS", 0.01)
    yield made
    made.stop()


def test_it_beats_while_a_check_takes_long(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()

    def slow(*given: Any, **more: Any) -> Any:
        assert go.wait(PATIENCE_SECS)
        return check(*given, **more)

    monkeypatch.setattr(process, "check", slow)
    with raw_stream(tmp_path):
        stand.start()
        wait_until(lambda: stand.told.count(("starting", "")) > 3)
        go.set()
        wait_until(lambda: "running" in stand.states())
        assert stand.stop() == ENDED


def test_one_that_prepares_without_end_falls_silent(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = threading.Event()
    monkeypatch.setattr(process, "PREPARE_SECS", 0.05)
    monkeypatch.setattr(process, "check", lambda *_, **__: go.wait(PATIENCE_SECS))
    with raw_stream(tmp_path):
        stand.start()
        wait_until(lambda: bool(stand.told))
        wait_until(lambda: not any(one.name == "beat" for one in threading.enumerate()))
        go.set()


def test_it_beats_while_it_waits_for_a_stream(stand: Stand, tmp_path: Path) -> None:
    raw_stream(tmp_path).close()
    stand.start()
    waiting = ("waiting", "nobody writes the stream 'raw' now")
    wait_until(lambda: stand.told.count(waiting) > 3)
    with raw_stream(tmp_path):
        wait_until(lambda: "running" in stand.states())
        assert stand.stop() == ENDED


def test_it_waits_for_a_stream_that_another_pipeline_will_make(
    stand: Stand, tmp_path: Path
) -> None:
    stand.order["promised"] = ["raw"]
    stand.start()
    wait_until(lambda: "waiting" in stand.states())
    with raw_stream(tmp_path):
        wait_until(lambda: "running" in stand.states())


def test_a_stream_of_nobody_is_a_wrong_text(stand: Stand) -> None:
    stand.start()
    wait_until(lambda: stand.outcome is not None)
    assert isinstance(stand.outcome, ConfigError)
    assert stand.told[-1] == ("failed", str(stand.outcome))
    assert "no stream 'raw'" in str(stand.outcome)


@pytest.mark.parametrize("stand", [LSL], indirect=True)
def test_a_sender_that_is_away_is_waited_for(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def away(self: LslInlet) -> Any:
        del self
        asked.append(1)
        raise NotConnectedError("no LSL stream stream 'away' was found")

    monkeypatch.setattr(LslInlet, "format", away)
    stand.start()
    wait_until(lambda: len(asked) > 2)
    assert stand.told[-1] == ("waiting", "stage 'net': no LSL stream stream 'away' was found")
    assert stand.stop() == ENDED


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("wrong"), USAGE),
        (RecordingError("no folder"), FAILED),
        (OSError(5, "x"), FAILED),
    ],
)
def test_the_state_that_it_tells_at_the_end_is_that_of_its_exit_code(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(process, "build", fail)
    with raw_stream(tmp_path):
        stand.start()
        wait_until(lambda: stand.outcome is not None)
    assert stand.outcome is error
    assert exit_code(error) == code
    assert stand.told[-1][0] == state_after(code)


@pytest.mark.parametrize("stand", [SOURCE + VOLTS + SINK + BESIDE], indirect=True)
def test_one_that_is_emptied_with_a_failed_sink_is_failed_and_at_its_end(
    stand: Stand, tmp_path: Path
) -> None:
    (tmp_path / "plugin.py").write_text(BROKEN)
    with raw_stream(tmp_path) as raw:
        stand.start()
        wait_until(lambda: "running" in stand.states())
        play(raw, counts(1))
        wait_until(lambda: "no more" in stand.told[-1][1])
        stand.ask("drain")
        wait_until(lambda: stand.outcome is not None)
    assert stand.outcome == SPOILT
    assert stand.told[-1][0] == "failed"


@pytest.mark.parametrize("stand", [SOURCE + VOLTS + SINK + OTHER], indirect=True)
def test_one_of_whose_rings_one_ends_begins_anew(stand: Stand, tmp_path: Path) -> None:
    with raw_stream(tmp_path) as raw:
        spec = replace(raw.spec, name="other")
        with StreamWriter.create(tmp_path, spec, capacity_bytes=1 << 20) as other:
            stand.start()
            wait_until(lambda: "running" in stand.states())
            play(other, counts(1))
        wait_until(lambda: stand.outcome is not None)
    assert stand.outcome == AGAIN
    assert stand.told[-1] == ("restarting", "")


def test_the_daemon_knows_which_exit_codes_are_final() -> None:
    from ringdaq.daemon.hosted import ENDINGS

    assert ENDINGS == FINAL
    assert {state_after(code) for code in (FAILED, -9, 75)} == {"restarting"}
    assert state_after(SPOILT) == "failed"


# --- the check


def test_a_source_that_is_away_is_no_fault_of_the_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(self: RingSource) -> Any:
        raise StreamError(f"the ring of {self.stream!r} is damaged")

    monkeypatch.setattr(RingSource, "format", damaged)
    with raw_stream(tmp_path):
        right, wrong = (
            parse_pipeline(SOURCE + VOLTS + more, tmp_path / "p.toml")
            for more in (SINK, SINK + "minutes = -1\n")
        )
        with pytest.raises(NotConnectedError, match="stage 'in': the ring of 'raw' is damaged"):
            check(right, rings=tmp_path, connect=True)
        with pytest.raises(ConfigError, match="minutes") as caught:
            check(wrong, rings=tmp_path, connect=True)
        assert "damaged" not in str(caught.value)
        with pytest.raises(ConfigError, match=r"line 1: .*damaged"):
            graph_of(SOURCE + VOLTS + SINK, tmp_path)
