"""The contract: its generated code is current, its style is kept, and nothing old breaks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ringdaq.client import calls, catalogue_calls, history_calls, pipeline_calls, queue_calls
from ringdaq.model import RunState, StreamKind
from ringdaq.v1 import (
    catalogue_pb2,
    control_pb2,
    data_pb2,
    instruments_pb2,
    pipelines_pb2,
    queue_pb2,
    types_pb2,
)

ROOT = Path(__file__).parents[2]
FILES = tuple(
    file.DESCRIPTOR
    for file in (
        control_pb2,
        queue_pb2,
        pipelines_pb2,
        instruments_pb2,
        data_pb2,
        catalogue_pb2,
    )
)
# What the daemon's users were promised by name.
PROMISED = {
    "UploadScript", "StartScript", "StopScript", "GetScriptStatus", "StreamStatus",
    "StreamMeasurements", "ListScripts", "ListExecutions", "GetDaemonInfo",
}  # fmt: skip


@pytest.mark.parametrize("check", [["generate.py", "--check"], ["lint.py"]])
def test_the_checks_pass(check: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *check], cwd=ROOT / "proto", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_promised_methods_are_there() -> None:
    [service] = control_pb2.DESCRIPTOR.services_by_name.values()
    assert {method.name for method in service.methods} >= PROMISED


def test_every_state_of_a_run_has_its_number() -> None:
    names = {
        name.removeprefix("RUN_STATE_").lower()
        for name in types_pb2.RunState.DESCRIPTOR.values_by_name
    }
    assert names == {*RunState, "unspecified"}


def test_every_kind_of_stream_has_its_number() -> None:
    names = {
        name.removeprefix("STREAM_KIND_").lower()
        for name in types_pb2.StreamKind.DESCRIPTOR.values_by_name
    }
    assert names == {*StreamKind.__args__, "unspecified"}


def test_success_is_no_field() -> None:
    for file in (types_pb2.DESCRIPTOR, *FILES):
        for message in file.message_types_by_name.values():
            assert not {"success", "ok", "error_message"} & set(message.fields_by_name)


def test_the_clients_know_every_method() -> None:
    paths = {
        f"/{service.full_name}/{method.name}"
        for file in FILES
        for service in file.services_by_name.values()
        for method in service.methods
    }
    made = [
        calls.upload("", None, None), calls.start("s", None, None), calls.stop("r", False),
        calls.pause("r"), calls.resume("r"),
        calls.status("r"), calls.watch("r", None), calls.runs(None, None, 1), calls.scripts(),
        calls.info(), calls.system(None), calls.stream(None, None, None), calls.instruments(),
        calls.call("i", "v", [], {}, "", 1.0), calls.read("i"), calls.panic(), calls.streams(),
        calls.move("i", 0.0, relative=False, timeout=1.0, key=""), calls.batches("s", None),
        queue_calls.dry_run("s", None, None), queue_calls.script_text("s"),
        queue_calls.add("s", None, None, 1, "stop", True), queue_calls.entries(),
        queue_calls.move("e", 0), queue_calls.remove("e"), queue_calls.pause(),
        queue_calls.edit("e", None, None, None, True), queue_calls.resume(),
        pipeline_calls.listed(), pipeline_calls.start("p", "", "", None),
        pipeline_calls.stop("p"), pipeline_calls.pause("p"), pipeline_calls.resume("p"),
        pipeline_calls.drain("p"), pipeline_calls.set_parameters("p", {}),
        pipeline_calls.statistics("p"),
        history_calls.history("s", None, None, None, None),
        catalogue_calls.find("", 1, list), catalogue_calls.get("r", list),
        catalogue_calls.annotate("r", None, [], [], {}, list), catalogue_calls.compare("r", "s"),
        catalogue_calls.delete("r", "r"), catalogue_calls.reindex(), catalogue_calls.documents("r"),
    ]  # fmt: skip
    assert {call.path for call in made} == paths
