"""The blocking client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import grpc
import numpy as np

from ringdaq.client import calls, catalogue_calls, forks, history_calls, queue_calls
from ringdaq.client.address import Endpoint
from ringdaq.client.calls import Call
from ringdaq.client.pipelines import Pipelines
from ringdaq.client.queue import Queue
from ringdaq.client.queue_results import DryRunReport
from ringdaq.client.results import (
    DaemonInfo,
    InstrumentInfo,
    MeasurementBatch,
    RunStatus,
    ScriptInfo,
    StreamBatch,
    StreamInfo,
    SystemStatus,
)
from ringdaq.client.runs import Comparison, RunRecord
from ringdaq.client.subscription import Subscription
from ringdaq.client.transport import CHANNEL_OPTIONS, call_metadata, closed_error, read_error
from ringdaq.history import History
from ringdaq.model import RunState

R = TypeVar("R")
Moment = int | str | datetime | timedelta | np.datetime64 | None
AnyRun = str | RunStatus | RunRecord


class Client:
    """A daemon over the network; any thread may call.

    Every method raises the errors that the daemon raised, of the same classes;
    `DaemonUnreachableError` when nobody answers.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        forks.opened()
        self.address = endpoint.address
        self._closed = False
        self._metadata = call_metadata(endpoint)
        self._channel = grpc.insecure_channel(endpoint.address, options=CHANNEL_OPTIONS)
        self.queue = Queue(self._ask)
        self.pipelines = Pipelines(self._ask)

    def _begin(self, make: Any, call: Call[R]) -> Any:
        """Send a call; refuses to on a closed client."""
        self._check()
        method = make(
            call.path,
            request_serializer=type(call.request).SerializeToString,
            response_deserializer=call.response.FromString,
        )
        try:
            return method(call.request, timeout=call.deadline_secs, metadata=self._metadata)
        except ValueError:
            self._check()  # another thread may have closed it meanwhile
            raise

    def _check(self) -> None:
        forks.check()
        if self._closed:
            raise closed_error(self.address)

    def _ask(self, call: Call[R]) -> R:
        try:
            answer = self._begin(self._channel.unary_unary, call)
        except grpc.RpcError as error:
            raise read_error(error, self.address, call.path) from None
        return cast(R, call.decode(answer))

    def _follow(self, call: Call[R]) -> Subscription[R]:
        rpc = self._begin(self._channel.unary_stream, call)
        return Subscription(rpc, call, self.address, lambda: self._closed)

    def upload(
        self,
        source: str | Path,
        name: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ScriptInfo:
        """Store a script, given as text or as the path of its file.

        Raises `ScriptRejectedError` with line and column for one that cannot run on this rig.
        """
        return self._ask(calls.upload(source, name, metadata))

    def start(
        self,
        script: str | ScriptInfo,
        parameters: Mapping[str, object] | None = None,
        instruments: Sequence[str] | None = None,
    ) -> str:
        """Start a stored script by id or name; returns the run's id.

        The run may use the named `instruments`, or those that its text names.
        """
        return self._ask(calls.start(script, parameters, instruments))

    def dry_run(
        self,
        script: str | ScriptInfo,
        parameters: Mapping[str, object] | None = None,
        instruments: Sequence[str] | None = None,
    ) -> DryRunReport:
        """What a run would take, by the rig's simulated twin; nothing real is touched."""
        return self._ask(queue_calls.dry_run(script, parameters, instruments))

    def script_text(self, script: str | ScriptInfo) -> str:
        """The text of a stored script, by id or name."""
        return self._ask(queue_calls.script_text(script))

    def stop(self, run: str | RunStatus, force: bool = False) -> RunState:
        """Ask a run to stop, and return at once; `wait` for its end. `force` kills its process."""
        return self._ask(calls.stop(run, force))

    def pause(self, run: str | RunStatus) -> RunState:
        """Ask a run to hold at its next verb or scan point, and return at once."""
        return self._ask(calls.pause(run))

    def resume(self, run: str | RunStatus) -> RunState:
        """Let a paused run go on where it is, and return at once."""
        return self._ask(calls.resume(run))

    def status(self, run: str | RunStatus) -> RunStatus:
        """Where a run is."""
        return self._ask(calls.status(run))

    def watch(
        self, run: str | RunStatus, *, seconds: float | None = None
    ) -> Subscription[RunStatus]:
        """The run's status now and after each change, until it has ended or `seconds` are over."""
        return self._follow(calls.watch(run, seconds))

    def wait(self, run: str | RunStatus, timeout: float | None = None) -> RunStatus:
        """Wait until a run has ended; raises `ServiceError` when it goes on after `timeout`."""
        last = None
        with self.watch(run, seconds=timeout) as statuses:
            for status in statuses:
                last = status
        return calls.ended(last, run, timeout, closed=self._closed)

    def runs(
        self, *, script_id: str | None = None, state: str | None = None, limit: int = 100
    ) -> list[RunStatus]:
        """Runs, the newest first."""
        return self._ask(calls.runs(script_id, state, limit))

    def scripts(self) -> list[ScriptInfo]:
        """The stored scripts, the newest first."""
        return self._ask(calls.scripts())

    def info(self) -> DaemonInfo:
        """Which daemon this is."""
        return self._ask(calls.info())

    def system(self, *, seconds: float | None = None) -> Subscription[SystemStatus]:
        """What the daemon does, ten times a second."""
        return self._follow(calls.system(seconds))

    def instruments(self) -> list[InstrumentInfo]:
        """The rig's instruments."""
        return self._ask(calls.instruments())

    def call(
        self,
        instrument: str,
        verb: str,
        *args: object,
        deadline_secs: float = calls.MOVE_SECS + calls.GRACE_SECS,
        key: str = "",
        **kwargs: object,
    ) -> Any:
        """Make an instrument do something; returns what it answered.

        A `key` is executed once, however often it is sent.
        """
        return self._ask(calls.call(instrument, verb, args, kwargs, key, deadline_secs))

    def move(
        self,
        instrument: str,
        position: float,
        *,
        relative: bool = False,
        timeout: float = calls.MOVE_SECS,
        key: str = "",
    ) -> float:
        """Move an instrument, wait until it rests, and return where it is."""
        return self._ask(
            calls.move(instrument, position, relative=relative, timeout=timeout, key=key)
        )

    def read(self, instrument: str) -> Any:
        """A value from an instrument, now."""
        return self._ask(calls.read(instrument))

    def panic(self) -> Mapping[str, str]:
        """Bring every instrument to its safe state at once: `safe`, or why it may not be."""
        return self._ask(calls.panic())

    def streams(self) -> list[StreamInfo]:
        """The streams that can be read."""
        return self._ask(calls.streams())

    def stream(
        self,
        channels: Sequence[str] | None = None,
        max_rate_hz: float | None = None,
        *,
        seconds: float | None = None,
    ) -> Subscription[MeasurementBatch]:
        """Single values as they are measured: of `stream.channel`, of all of a `stream`, or of all.

        `max_rate_hz` holds for each channel by itself.
        """
        return self._follow(calls.stream(channels, max_rate_hz, seconds))

    def batches(self, stream: str, *, seconds: float | None = None) -> Subscription[StreamBatch]:
        """A stream's records as they are written, as Arrow record batches."""
        return self._follow(calls.batches(stream, seconds))

    def history(
        self,
        stream: str,
        since: Moment = None,
        until: Moment = None,
        max_points: int | None = None,
        *,
        channels: Sequence[str] | None = None,
    ) -> History:
        """What a stream held from one moment up to another, out of rings and files alike.

        A moment is nanoseconds, a datetime, ISO text, or how long ago: "5m" or a timedelta;
        without one, all that is held, or now. Without `max_points` every row comes as it is; with
        it, at most so many points a channel, the least and the greatest value of each bin of rows.
        """
        with self._follow(history_calls.history(stream, since, until, max_points, channels)) as got:
            return history_calls.assembled(got)

    def find_runs(self, wish: str = "", *, limit: int = 100) -> list[RunRecord]:
        """Recordings that fulfil a wish, such as "sample = 'X' and temperature > 300"."""
        return self._ask(catalogue_calls.find(wish, limit, self.documents))

    def run(self, run: AnyRun) -> RunRecord:
        """A recording as the catalogue knows it."""
        return self._ask(catalogue_calls.get(run, self.documents))

    def annotate(
        self,
        run: AnyRun,
        *,
        note: str | None = None,
        tags: Sequence[str] = (),
        untag: Sequence[str] = (),
        **keys: object,
    ) -> RunRecord:
        """Note something with a recording: a text, tags, and keys to find it by.

        A key that is `None` is taken away.
        """
        return self._ask(catalogue_calls.annotate(run, note, tags, untag, keys, self.documents))

    def compare(self, left: AnyRun, right: AnyRun) -> Comparison:
        """What differs between two recordings: parameters, settings, script, rig."""
        return self._ask(catalogue_calls.compare(left, right))

    def delete_run(self, run: AnyRun, *, confirm: str) -> str:
        """Delete a recording's files for good; `confirm` is its id once more. Returns its path."""
        return self._ask(catalogue_calls.delete(run, confirm))

    def reindex_runs(self) -> list[str]:
        """Make the catalogue anew from the files; returns those that are in it."""
        return self._ask(catalogue_calls.reindex())

    def documents(self, run: AnyRun) -> Subscription[catalogue_calls.Document]:
        """A recording as documents of Bluesky's event model: name and document, in order."""
        return self._follow(catalogue_calls.documents(run))

    def close(self) -> None:
        """Hang up; open subscriptions end, and calls under way fail with `ServiceError`."""
        self._closed = True
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
