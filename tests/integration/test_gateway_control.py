"""A client's calls through a real gateway: everything arrives, and errors keep their class."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_daemon import INFO, INSTRUMENT, TOKEN, GatewayProcess, run_of
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

import ringdaq
from ringdaq import errors
from ringdaq.client import Client
from ringdaq.model import RunState
from ringdaq.v1 import control_pb2, control_pb2_grpc, queue_pb2, queue_pb2_grpc


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path_factory.mktemp("gateway"))
    yield process
    process.close()


@pytest.fixture
def client(gateway: GatewayProcess) -> Iterator[Client]:
    with ringdaq.connect(gateway.address, TOKEN) as connected:
        yield connected


def test_connect_finds_the_local_daemon(
    gateway: GatewayProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RINGDAQ_STATE", str(gateway.directory))
    with ringdaq.connect() as client:
        assert client.address == gateway.address
        assert client.info().version == INFO["version"]


def test_info(client: Client) -> None:
    info = client.info()
    assert (info.rig, info.pid, info.features) == ("demo", 4711, ["python-scripts"])
    assert info.uptime_secs == 1.5
    assert info.instruments[0].limits == {"position": (-5.0, 5.0)}


def test_upload_sends_text_name_and_metadata(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["scripts.upload"] = lambda content, name, metadata, user: {
        "script_id": "s1", "name": name, "hash": "abc",
    }  # fmt: skip
    script = client.upload("sleep(1)  # µ", name="nap", metadata={"sample": "A"})
    assert (script.script_id, script.name, script.hash) == ("s1", "nap", "abc")
    sent = gateway.daemon.last_call("scripts.upload")
    assert sent["content"] == "sleep(1)  # µ".encode()
    assert sent["metadata"] == {"sample": "A"}
    assert sent["user"].endswith("(network)")


def test_upload_of_a_file_takes_its_name(
    client: Client, gateway: GatewayProcess, tmp_path: Path
) -> None:
    gateway.daemon.methods["scripts.upload"] = lambda content, name, metadata, user: {
        "script_id": "s1", "name": name, "hash": "abc",
    }  # fmt: skip
    file = tmp_path / "scan.py"
    file.write_text("sleep(1)")
    assert client.upload(file).name == "scan.py"


def test_start_keeps_the_types_of_parameters(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["runs.start"] = lambda **_: {"run_id": "r7"}
    parameters = {
        "n": 3,
        "step": 0.5,
        "on": True,
        "names": ["a", 1],
        "none": None,
        "deep": {"k": 2},
    }
    assert client.start("scan", parameters) == "r7"
    sent = gateway.daemon.last_call("runs.start")
    assert sent["parameters"] == parameters
    assert {k: type(v) for k, v in sent["parameters"].items()} == {
        k: type(v) for k, v in parameters.items()
    }
    assert sent["instruments"] is None


def test_start_with_an_empty_grant_is_not_a_start_without_one(
    client: Client, gateway: GatewayProcess
) -> None:
    gateway.daemon.methods["runs.start"] = lambda **_: {"run_id": "r7"}
    client.start("scan", instruments=[])
    assert gateway.daemon.last_call("runs.start")["instruments"] == []


def test_status_of_a_failed_run(client: Client, gateway: GatewayProcess) -> None:
    error = errors.to_wire(errors.ScriptFailedError("boom", line=7, traceback="…"))
    recording = {
        "file": "/data/r1.h5", "state": "sealed", "error": None,
        "streams": {"eeg": {
            "produced_rows": 10, "durable_rows": 8, "durable_records": 4,
            "gap_rows": 2, "gap_records": 1, "gaps": 1,
        }},
    }  # fmt: skip
    gateway.daemon.methods["runs.status"] = lambda run_id: run_of(
        run_id, state="failed", error=error, progress_percent=None, recording=recording
    )
    status = client.status("r1")
    assert status.state is RunState.FAILED
    assert status.progress_percent is None
    assert status.parameters == {"points": 5, "axis": "x"}
    assert isinstance(status.failure, errors.ScriptFailedError)
    assert status.failure.line == 7
    assert status.recording is not None
    assert status.recording.streams["eeg"].gap_rows == 2


def test_a_class_of_error_arrives_as_the_same_class(
    client: Client, gateway: GatewayProcess
) -> None:
    found = {}

    def fail(run_id: str) -> Any:
        raise found["error"]

    gateway.daemon.methods["runs.status"] = fail
    for name, cls in errors.error_classes().items():
        found["error"] = cls(f"wanted a µ, found {name}")
        with pytest.raises(cls) as caught:
            client.status("r1")
        assert type(caught.value) is cls
        assert str(caught.value) == f"wanted a µ, found {name}"
        assert caught.value.details == found["error"].details


def test_the_details_of_an_error_arrive(client: Client, gateway: GatewayProcess) -> None:
    def reject(**_: object) -> Any:
        raise errors.ScriptRejectedError(
            "no verb 'mov'; did you mean 'move_abs'?", line=3, column=7
        )

    gateway.daemon.methods["scripts.upload"] = reject
    with pytest.raises(errors.ScriptRejectedError) as caught:
        client.upload("stage.mov(1)")
    assert (caught.value.line, caught.value.column) == (3, 7)


def test_a_very_long_error_arrives_cut(client: Client, gateway: GatewayProcess) -> None:
    def fail(run_id: str) -> Any:
        raise errors.ScriptFailedError("ä" * 20_000, line=5, traceback="x" * 20_000 + "the end")

    gateway.daemon.methods["runs.status"] = fail
    with pytest.raises(errors.ScriptFailedError) as caught:
        client.status("r1")
    assert caught.value.line == 5
    assert caught.value.traceback.endswith("the end")


def test_a_fault_inside_the_daemon_is_an_internal_error(
    client: Client, gateway: GatewayProcess
) -> None:
    gateway.daemon.methods["runs.status"] = lambda run_id: 1 / 0
    with pytest.raises(errors.RingdaqError, match="ZeroDivisionError"):
        client.status("r1")


def test_runs_pass_their_filter(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["runs.list"] = lambda **_: [run_of("r2"), run_of("r1")]
    assert [run.run_id for run in client.runs(state="failed", limit=5)] == ["r2", "r1"]
    assert gateway.daemon.last_call("runs.list") == {
        "script_id": None, "state": "failed", "limit": 5,
    }  # fmt: skip
    with pytest.raises(errors.BadRequestError, match="one of pending"):
        client.runs(state="broken")


def test_scripts(client: Client, gateway: GatewayProcess) -> None:
    stored = {
        "script_id": "s1", "name": "scan", "hash": "h", "uploaded_nanos": 5, "metadata": {"a": "b"},
        "parameters": "stage: Movable, n: int = 5",
    }  # fmt: skip
    gateway.daemon.methods["scripts.list"] = lambda: [stored]
    [script] = client.scripts()
    assert (script.name, script.uploaded_nanos, script.metadata) == ("scan", 5, {"a": "b"})
    assert script.parameters == "stage: Movable, n: int = 5"


def test_watch_tells_each_change_and_ends_with_the_run(
    client: Client, gateway: GatewayProcess
) -> None:
    states = iter(["pending", "running", "running", "running", "stopping", "stopped"])
    gateway.daemon.methods["runs.status"] = lambda run_id: run_of(run_id, state=next(states))
    seen = [status.state for status in client.watch("r-watch")]
    assert seen == ["pending", "running", "stopping", "stopped"]


def test_wait_returns_the_last_status(client: Client, gateway: GatewayProcess) -> None:
    states = iter(["running", "completed"])
    gateway.daemon.methods["runs.status"] = lambda run_id: run_of(run_id, state=next(states))
    assert client.wait("r-wait", timeout=30).state is RunState.COMPLETED


def test_wait_says_when_the_run_goes_on(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["runs.status"] = run_of
    with pytest.raises(errors.ServiceError, match="goes on"):
        client.wait("r-slow", timeout=0.3)


def test_system_status(client: Client) -> None:
    with client.system() as statuses:
        status = next(statuses)
    assert status.state == "running"
    assert status.live_values == {"stage.position": 1.25, "meter.armed": True}
    assert status.active_runs == ["r1"]


def test_system_status_is_asked_once_for_all_and_only_while_somebody_listens(
    client: Client, gateway: GatewayProcess
) -> None:
    asked: list[float] = []
    heard = threading.Event()

    def status() -> dict[str, Any]:
        asked.append(0.0)
        heard.set()
        return {**SYSTEM_WITH_COUNT, "memory_bytes": len(asked)}

    gateway.daemon.methods["system.status"] = status
    listeners = [client.system() for _ in range(10)]
    counts = [[next(listener).memory_bytes for _ in range(3)] for listener in listeners]
    assert max(max(c) for c in counts) <= len(asked)
    assert len(asked) < 30
    for listener in listeners:
        listener.close()


def test_instruments(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["instruments.list"] = lambda: [INSTRUMENT]
    [stage] = client.instruments()
    assert (stage.name, stage.connected, stage.unit) == ("stage", True, "mm")


def test_call_carries_arguments_and_result(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["instruments.call"] = lambda **_: {"value": {"gain": [1, 2.5, None]}}
    answer = client.call("meter", "configure", 3, b"raw", timeout=0.5, key="k1")
    assert answer == {"gain": [1, 2.5, None]}
    sent = gateway.daemon.last_call("instruments.call")
    assert (sent["args"], sent["kwargs"], sent["key"]) == ([3, b"raw"], {"timeout": 0.5}, "k1")


def test_move_returns_the_position_read_back(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["instruments.call"] = lambda **_: {"value": 1.9998}
    assert client.move("stage", 2.0, timeout=5) == 1.9998
    sent = gateway.daemon.last_call("instruments.call")
    assert (sent["verb"], sent["args"], sent["kwargs"]) == ("move_abs", [2.0], {"timeout": 5.0})
    client.move("stage", -0.5, relative=True)
    assert gateway.daemon.last_call("instruments.call")["verb"] == "move_rel"


def test_read_and_panic(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["instruments.call"] = lambda **_: {"value": 0.25}
    assert client.read("meter") == 0.25
    gateway.daemon.methods["panic"] = lambda user: {
        "instruments": {"stage": "safe", "laser": "no answer"}
    }
    assert client.panic() == {"stage": "safe", "laser": "no answer"}


def test_stops_and_questions_overtake_calls_that_take_their_time(
    client: Client, gateway: GatewayProcess
) -> None:
    go_on = threading.Event()
    begun = threading.Semaphore(0)

    def slow(**_: object) -> dict[str, Any]:
        begun.release()
        go_on.wait(30)
        return {"value": None}

    gateway.daemon.methods["instruments.call"] = slow
    gateway.daemon.methods["runs.stop"] = lambda run_id, force, user: {"state": "stopping"}
    callers = [
        threading.Thread(target=client.call, args=("stage", "home"), daemon=True) for _ in range(48)
    ]
    for caller in callers:
        caller.start()
    for _ in callers:
        assert begun.acquire(timeout=30)
    assert client.stop("r1") is RunState.STOPPING
    assert client.info().rig == "demo"
    go_on.set()
    for caller in callers:
        caller.join(30)


def test_open_streams_never_delay_a_stop(client: Client, gateway: GatewayProcess) -> None:
    gateway.daemon.methods["runs.status"] = run_of
    gateway.daemon.methods["runs.stop"] = lambda run_id, force, user: {"state": "stopped"}
    streams = [client.stream() for _ in range(100)]
    streams += [client.watch(f"r{i}") for i in range(50)]
    streams += [client.system() for _ in range(50)]
    assert client.stop("r1", force=True) is RunState.STOPPED
    assert gateway.daemon.last_call("runs.stop")["force"] is True
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1]])
def test_a_wrong_token_is_refused(gateway: GatewayProcess, token: str) -> None:
    with pytest.raises(errors.AuthenticationError, match="token"):
        ringdaq.connect(gateway.address, token)


def test_every_method_but_health_wants_the_token(gateway: GatewayProcess) -> None:
    with grpc.insecure_channel(gateway.address) as channel:
        for file in (control_pb2.DESCRIPTOR, *_other_files()):
            for service in file.services_by_name.values():
                for method in service.methods:
                    path = f"/{service.full_name}/{method.name}"
                    assert _code_of(channel, path, method.server_streaming) == "UNAUTHENTICATED"
        with pytest.raises(grpc.RpcError, match="UNAUTHENTICATED"):
            ProtoReflectionDescriptorDatabase(channel).get_services()
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def _other_files() -> tuple[Any, ...]:
    from ringdaq.v1 import data_pb2, instruments_pb2

    return data_pb2.DESCRIPTOR, instruments_pb2.DESCRIPTOR


def _code_of(channel: grpc.Channel, path: str, streaming: bool) -> str:
    method = channel.unary_stream(path) if streaming else channel.unary_unary(path)
    try:
        answer = method(b"", timeout=30)
        for _ in answer if streaming else ():
            break
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_reflection_lists_the_services(gateway: GatewayProcess) -> None:
    with grpc.insecure_channel(gateway.address) as channel:
        intercepted = grpc.intercept_channel(channel, _AddToken())
        services = ProtoReflectionDescriptorDatabase(intercepted).get_services()
    assert {"ringdaq.v1.ControlService", "grpc.health.v1.Health"} <= set(services)


class _AddToken(grpc.StreamStreamClientInterceptor):  # type: ignore[misc]
    def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        details = details._replace(metadata=(("authorization", f"Bearer {TOKEN}"),))
        return continuation(details, requests)


def test_the_status_code_is_that_of_the_table(gateway: GatewayProcess) -> None:
    def fail(run_id: str) -> Any:
        raise errors.UnknownRunError("no run r9")

    gateway.daemon.methods["runs.status"] = fail
    with grpc.insecure_channel(gateway.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetScriptStatus(
                control_pb2.GetScriptStatusRequest(execution_id="r9"),
                metadata=(("authorization", f"Bearer {TOKEN}"),),
                timeout=30,
            )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert caught.value.details() == "no run r9"


def test_nobody_at_the_address() -> None:
    with pytest.raises(errors.DaemonUnreachableError, match="ringdaq daemon"):
        ringdaq.connect("127.0.0.1:1", TOKEN)


def test_the_async_client_is_a_twin(gateway: GatewayProcess) -> None:
    states = iter(["pending", "running", "completed"])
    gateway.daemon.methods["runs.status"] = lambda run_id: run_of(run_id, state=next(states))
    gateway.daemon.methods["instruments.call"] = lambda **_: {"value": 0.25}

    async def use() -> None:
        async with await ringdaq.connect_async(gateway.address, TOKEN) as client:
            assert (await client.info()).rig == "demo"
            assert [s.state async for s in client.watch("r-async")] == [
                "pending", "running", "completed",
            ]  # fmt: skip
            assert await client.read("meter") == 0.25
            gateway.daemon.methods.pop("runs.stop", None)
            with pytest.raises(errors.BadRequestError, match=r"runs\.stop"):
                await client.stop("r1")

    asyncio.run(use())


def test_both_clients_have_the_same_methods() -> None:
    from ringdaq.client import AsyncClient

    def public(cls: type) -> set[str]:
        return {name for name in vars(cls) if not name.startswith("_")}

    assert public(Client) == public(AsyncClient)


SYSTEM_WITH_COUNT = {
    "state": "idle", "uptime_secs": 2.5, "live_values": {}, "active_runs": [],
    "timestamp_nanos": 99,
}  # fmt: skip


def test_numbers_that_no_enum_has_are_refused_with_those_that_it_has(
    gateway: GatewayProcess,
) -> None:
    edit = queue_pb2.EditEntryRequest(entry_id="e1", on_failure=9)  # type: ignore[arg-type]
    add = queue_pb2.AddEntryRequest(script_id="s1", on_failure=9)  # type: ignore[arg-type]
    listing = control_pb2.ListExecutionsRequest(state=99)  # type: ignore[arg-type]
    with grpc.insecure_channel(gateway.address) as channel:
        queue = queue_pb2_grpc.QueueServiceStub(channel)
        control = control_pb2_grpc.ControlServiceStub(channel)
        for call, request, known in (
            (queue.AddEntry, add, "2 (ON_FAILURE_CONTINUE); found 9"),
            (queue.EditEntry, edit, "2 (ON_FAILURE_CONTINUE); found 9"),
            (control.ListExecutions, listing, "(RUN_STATE_RUNNING)"),
        ):
            with pytest.raises(grpc.RpcError) as failed:
                call(request, metadata=(("authorization", f"Bearer {TOKEN}"),))  # type: ignore[operator]
            assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert known in failed.value.details()
