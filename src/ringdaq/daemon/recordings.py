"""What is being recorded: descriptions for the recorder, and what it reports back."""

from __future__ import annotations

import hashlib
import logging
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ringdaq import __version__
from ringdaq.clock import now_nanos
from ringdaq.config import Rig
from ringdaq.daemon.open_rings import ForeignRing, OpenRing, missed_rows
from ringdaq.errors import PipelineBusyError, RecordingError
from ringdaq.recorder.awaited import awaited_rings

log = logging.getLogger(__name__)

# Of recordings that are no run's.
CONTINUOUS, SAVED = "rec-", "saved-"
OWN_PREFIXES = (CONTINUOUS, SAVED)
GIT_SECS = 2.0
CHANGE_SECS = 10.0
"""The longest that a recording's beginning waits for a change of what it records."""

Send = Callable[[str, dict[str, Any]], None]
Description = dict[str, Any]


def versions() -> dict[str, str]:
    """The software that made a recording."""
    return {
        "ringdaq": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "byteorder": sys.byteorder,
    }


def git_state(directory: Path) -> dict[str, Any]:
    """The commit that the rig file lies in, and whether files differ from it; empty without git."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return {}
    return {"commit": commit, "modified": _git(directory, "status", "--porcelain") != ""}


def _git(directory: Path, *command: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *command],
            capture_output=True, text=True, timeout=GIT_SECS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def from_here(ring: OpenRing, *, whole: bool) -> Description:
    """A stream's entry in a description: from its next record on, or from its first."""
    now = ring.statistics()
    return {
        "name": ring.spec.name,
        "path": str(ring.path),
        "generation": ring.generation,
        "start_sequence": 0 if whole else now.next_sequence,
        "start_rows": 0 if whole else now.rows,
        "end_sequence": None,
        "end_rows": None,
        "spec": ring.spec.to_dict(),
    }


def still_read(streams: Sequence[Description]) -> list[Description]:
    """The entries of an ended part that the next part needs.

    A generation that has a successor, and brought this part nothing, brings nothing any more: its
    ring may go.
    """
    newest = {entry["name"]: entry["generation"] for entry in streams}
    return [
        entry
        for entry in streams
        if newest[entry["name"]] == entry["generation"]
        or entry["start_sequence"] != entry["end_sequence"]
    ]


class RecordingDesk:
    """Keeps the open recordings, and tells the recorder of them whenever it comes."""

    def __init__(
        self,
        rig: Rig,
        data_directory: Path,
        on_report: Callable[[str], None],
        provenance: Callable[[list[Description]], list[dict[str, Any]]] = lambda _: [],
    ) -> None:
        """`provenance` tells of streams as descriptions have them which pipelines made them."""
        self.enabled = rig.daemon.recorder
        self.data_directory = data_directory
        self._rig = rig
        self._on_report = on_report
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: dict[str, Description] = {}
        self._rings: dict[str, dict[str, OpenRing]] = {}
        self._provenance = provenance
        self._changing: set[str] = set()
        self._reports: dict[str, dict[str, Any]] = {}
        self._send: Send | None = None
        self._expected: set[str] = set()
        self._git = git_state(rig.path.parent)

    # --- the recorder's side

    def attach(self, send: Send) -> dict[str, Any]:
        """A recorder has come: what it must record, and what it has not sealed yet."""
        with self._lock:
            self._send = send
            return {
                "recordings": list(self._open.values()),
                "data_directory": str(self.data_directory),
                "expected": sorted(self._expected),
                "commit_secs": self._rig.recording.commit_secs,
                "flush_secs": self._rig.recording.flush_secs,
                "keep_journal": self._rig.recording.keep_journal,
            }

    def expect(self, recording_ids: Iterable[str]) -> None:
        """Recordings of an earlier daemon, whose end nobody has told yet."""
        with self._lock:
            self._expected |= set(recording_ids)

    def detach(self, send: Send) -> None:
        """The recorder has gone."""
        with self._lock:
            if self._send == send:  # a peer's bound method is a new object each time
                self._send = None

    @property
    def attached(self) -> bool:
        """Whether a recorder listens now."""
        return self._send is not None

    def report(self, recording_id: str, **report: Any) -> None:
        """The recorder tells how far it is."""
        with self._changed:
            before = self._reports.get(recording_id, {}).get("error")
            if report["error"] and report["error"] != before:
                log.error("recording %s: %s", recording_id, report["error"])
            self._reports[recording_id] = report
            if report["state"] != "recording":
                self._expected.discard(recording_id)
                self._open.pop(recording_id, None)
                self._rings.pop(recording_id, None)
            self._changed.notify_all()
        if not recording_id.startswith(OWN_PREFIXES):
            self._on_report(recording_id)

    # --- the daemon's side

    def open(
        self,
        *,
        run_id: str,
        title: str,
        user: str,
        script: Mapping[str, Any],
        instruments: list[dict[str, Any]],
        rings: list[OpenRing],
        **more: Any,
    ) -> str:
        """Begin to record all streams from their next record on; returns the recording's file."""
        description = self.describe(
            run_id,
            title=title,
            user=user,
            run_id=run_id,
            script=dict(script),
            instruments=instruments,
            streams=[from_here(ring, whole=False) for ring in rings],
            **more,
        )
        return self.begin(description, rings)

    def describe(self, recording_id: str, *, title: str, user: str, **more: Any) -> Description:
        """A recording that begins now, as the recorder wants it; `streams` are its own."""
        return {
            "recording_id": recording_id,
            "run_id": "",
            "directory": str(self.data_directory / "journals" / recording_id),
            "file": str(self.data_directory / f"{recording_id}_{title}.h5"),
            "title": title,
            "user": user,
            "started_nanos": now_nanos(),
            "rig": {
                "text": self._rig.text,
                "path": str(self._rig.path),
                "hash": hashlib.sha256(self._rig.text.encode()).hexdigest(),
            },
            "versions": versions(),
            "git": self._git,
            "storage": {
                key: getattr(self._rig.recording, key)
                for key in ("codec", "compression", "chunk_bytes")
            },
            "end": None,
            **more,
        }

    def begin(self, description: Description, rings: Iterable[OpenRing] = ()) -> str:
        """Have something recorded; returns its file."""
        recording_id = description["recording_id"]
        streams = {entry["name"] for entry in description["streams"]}
        with self._changed:
            self._changed.wait_for(lambda: not self._changing & streams, CHANGE_SECS)
            description["pipelines"] = self._provenance(description["streams"])
            self._open[recording_id] = description
            self._rings[recording_id] = {ring.generation: ring for ring in rings}
            self._tell("recording.open", description)
        return str(description["file"])

    @contextmanager
    def unrecorded(self, streams: Collection[str], pipeline: str) -> Iterator[None]:
        """Let no recording of a pipeline's streams begin meanwhile; refuses while one goes on."""
        with self._lock:
            going_on = [
                recording_id
                for recording_id, description in self._open.items()
                if description["end"] is None
                and any(entry["name"] in streams for entry in description["streams"])
            ]
            if going_on:
                raise PipelineBusyError(
                    f"pipeline {pipeline!r} must not change while it is recorded; "
                    f"{going_on[0]} goes on. Stop that first",
                    pipeline=pipeline,
                )
            self._changing |= set(streams)
        try:
            yield
        finally:
            with self._changed:
                self._changing -= set(streams)
                self._changed.notify_all()

    def hand_over(self, old_id: str, description: Description, end: Mapping[str, Any]) -> str:
        """End a recording, and begin another one at exactly the same records.

        The recorder may have read more of the old one by now; it moves both to where that ends.
        """
        with self._lock:
            old = self._open[old_id]
            rings = self._rings[old_id]
            self._close(old, end)
            going_on = still_read(old["streams"])
            open_rings = [rings[entry["generation"]] for entry in going_on]
            description["continues"] = old_id
            description["streams"] = [
                {**entry, "start_sequence": entry["end_sequence"], "start_rows": entry["end_rows"],
                 "end_sequence": None, "end_rows": None, "missed": ""}
                for entry in going_on
            ]  # fmt: skip
        return self.begin(description, open_rings)

    def add_stream(self, recording_id: str, ring: OpenRing) -> None:
        """Record a stream that was made during the recording, from its first record on."""
        with self._lock:
            description = self._open.get(recording_id)
            if description is not None:
                self._add(description, ring, from_here(ring, whole=True))

    def succeed(self, before: OpenRing, after: ForeignRing, reason: str) -> None:
        """Let every recording of a generation go on with the next one, and declare the hole."""
        with self._lock:
            for recording_id, rings in self._rings.items():
                description = self._open[recording_id]
                known = before.generation in rings and after.generation not in rings
                if known and description["end"] is None:
                    missed = missed_rows(before, after, description["started_nanos"])
                    entry = from_here(after, whole=True)
                    entry |= {"start_rows": -missed, "missed": reason}
                    self._add(description, after, entry)

    def _add(self, description: Description, ring: OpenRing, entry: Description) -> None:
        description["streams"].append(entry)
        description["pipelines"] = self._provenance(description["streams"])
        self._rings[description["recording_id"]][ring.generation] = ring
        self._tell("recording.update", description)

    def awaited_rings(self) -> set[Path]:
        """The rings that recordings are read out of: open ones, and unfinished older ones."""
        with self._lock:
            open_now = list(self._open.values())
            found = {Path(stream["path"]) for one in open_now for stream in one["streams"]}
        known = {Path(one["directory"]) for one in open_now}
        return found | awaited_rings(self.data_directory / "journals", known)

    def records(self, recording_id: str, ring: OpenRing) -> bool:
        """Whether a recording knows a stream's ring."""
        with self._lock:
            return ring.generation in self._rings.get(recording_id, {})

    def close(self, recording_id: str, end: Mapping[str, Any]) -> None:
        """End a recording where its streams are now."""
        with self._lock:
            description = self._open.get(recording_id)
            if description is None:
                return
            self._close(description, end)

    def _close(self, description: Description, end: Mapping[str, Any]) -> None:
        for entry in description["streams"]:
            now = self._rings[description["recording_id"]][entry["generation"]].statistics()
            entry["end_sequence"], entry["end_rows"] = now.next_sequence, now.rows
        description["end"] = dict(end)
        self._tell("recording.close", description)

    def _tell(self, event: str, description: Description) -> None:
        """Send to the recorder; one that is away learns of it when it attaches."""
        if self._send is None:
            return
        try:
            self._send(event, {"description": description})
        except OSError as error:
            log.warning("the recorder does not listen (%s); it is told when it is back", error)
            self._send = None

    def status(self, recording_id: str) -> dict[str, Any] | None:
        """The recorder's newest report on a recording, or `None` when there is none."""
        with self._lock:
            report = self._reports.get(recording_id)
            if report is not None:
                return dict(report)
            description = self._open.get(recording_id)
        if description is None:
            return None
        return {"file": description["file"], "state": "waiting", "streams": {}, "error": None}

    def wait_sealed(self, recording_id: str, timeout: float) -> bool:
        """Wait until the recorder has finished a recording; returns whether it has."""
        with self._changed:
            return self._changed.wait_for(lambda: recording_id not in self._open, timeout)

    def wait_all_sealed(self, timeout: float) -> None:
        """Wait until nothing is open; raises `RecordingError` naming what still is."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, timeout):
                raise RecordingError(
                    f"all recordings should be sealed within {timeout:g} s; still open: "
                    f"{', '.join(self._open)}; 'ringdaq recover' finishes them"
                )
