"""The recorder's process: one thread that listens to the daemon and moves rows from rings to disk.

While nothing is recorded it sleeps until the daemon says something.
While something is, it looks at the rings twenty times a second: what it finds is durable a moment
later, and one look costs less than being woken by every record.
Where the rig file asks for that (`commit_secs = 0`), it is woken by every record all the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ringdaq import __version__
from ringdaq.control import ControlClient
from ringdaq.errors import RecordingError, RingdaqError
from ringdaq.recorder.alarm import Alarm
from ringdaq.recorder.catalogue.noter import Noter
from ringdaq.recorder.description import Description, parse_description
from ringdaq.recorder.rebuild import orphan_description
from ringdaq.recorder.recording import Recording
from ringdaq.recorder.reports import CALL_SECS, Reporter
from ringdaq.recorder.seal import read_mark, unsealed
from ringdaq.recorder.seams import Places, begin_at, ends, ends_noted

log = logging.getLogger(__name__)

COMMIT_SECS = 0.05
FLUSH_SECS = 1.0
REPORT_SECS = 1.0
LAST_REPORT_SECS = 5.0
OPEN_SECS = 0.25
HUNG_UP = "hung up"
NOTHING_KEPT = RecordingError("the daemon died before the recorder had begun; nothing was kept")
SHUTDOWN = "shutdown"


class RecorderService:
    """Records whatever the daemon describes, until the daemon says shutdown or is gone."""

    def __init__(self, socket_path: Path) -> None:
        self._events: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._alarm = Alarm()
        self._client = ControlClient.connect(socket_path, self._put)
        self._reporter = Reporter(
            lambda method, params: self._client.call(method, params, timeout=CALL_SECS)
        )
        self._recordings: dict[str, Recording] = {}
        self._noter: Noter | None = None
        self._waiting: dict[str, Description] = {}
        """Recordings whose journal another process still holds."""
        self._orphans: list[Path] = []
        """Journals of recordings that nobody describes any more."""
        self._commit_secs = COMMIT_SECS
        self._look_at = 0.0
        self._flush_secs = FLUSH_SECS
        self._keep_journal = True
        self._report_at = 0.0
        self._open_at = 0.0
        self._told: dict[str, str] = {}
        """What the daemon knows of each recording's trouble."""
        self._leaving = False
        self._stopped = False

    def run(self) -> None:
        """Serve; returns when there is nothing left to do for a daemon that is gone."""
        threading.Thread(target=self._watch, name="watch-daemon", daemon=True).start()
        self._attach()
        more = False
        while not self._done():
            self._listen(more)
            more = self._step()
            self._report()
        self._reporter.drain(LAST_REPORT_SECS)
        self._reporter.close()
        if self._noter is not None:
            self._noter.close()
        self._client.close()
        self._alarm.close()

    def stop(self) -> None:
        """Leave soon; open recordings stay unsealed, for the next recorder. Any thread may call."""
        self._put("stop", {})

    def _put(self, event: str, params: dict[str, Any]) -> None:
        self._events.put((event, params))
        self._alarm.ring()

    def _watch(self) -> None:
        self._client.closed.wait()
        self._put(HUNG_UP, {})

    def _done(self) -> bool:
        if self._stopped:
            for recording in self._recordings.values():
                recording.close()
            return True
        return self._leaving and not self._recordings

    # --- what the daemon says

    def _attach(self) -> None:
        self._client.call("hello", {"role": "recorder", "pid": os.getpid(), "version": __version__})
        reply = self._client.call("recorder.attach", {})
        self._commit_secs = float(reply.get("commit_secs", COMMIT_SECS))
        self._flush_secs = float(reply.get("flush_secs", FLUSH_SECS))
        self._keep_journal = bool(reply.get("keep_journal", True))
        if directory := reply.get("data_directory"):
            self._noter = Noter(Path(directory))
        for plain in reply["recordings"]:
            self._describe(plain)
        if directory := reply.get("data_directory"):
            data = Path(directory)
            found = {data / "journals" / name for name in reply.get("expected") or ()}
            self._orphans = sorted(found | set(unsealed(data)))
        self._open_waiting()

    def _adopt(self, directory: Path) -> bool:
        """Finish a recording that nobody describes any more; returns whether that is settled.

        An older recorder may still be at it: then what it has sealed is told in its place.
        """
        if not directory.is_dir():
            self._report_trouble({"recording_id": directory.name}, "failed", NOTHING_KEPT)
            return True
        try:
            if self._is_sealed(directory):
                return True
            description = orphan_description(directory)
            if description.recording_id not in self._recordings:
                self._open(description).interrupt()
        except BlockingIOError:
            return False
        except (OSError, RecordingError) as error:
            log.warning("an unfinished recording is left as it is: %s", error)
        return True

    def _is_sealed(self, directory: Path) -> bool:
        """Whether a recording is finished; then the daemon is told."""
        sealed = read_mark(directory)
        if sealed is None:
            return False
        told = {key: sealed[key] for key in ("recording_id", "file", "streams")}
        self._reporter.put({**told, "state": "sealed", "error": None})
        return True

    def _listen(self, more: bool) -> None:
        """Take all events; sleeps until one comes or the rings are to be looked at again."""
        if not more:
            self._sleep()
        self._look_at = time.monotonic() + (self._commit_secs or COMMIT_SECS)
        with contextlib.suppress(queue.Empty):
            while True:
                self._handle(*self._events.get_nowait())

    def _sleep(self) -> None:
        if not (self._recordings or self._waiting or self._orphans):
            self._alarm.sleep(None)
        elif self._commit_secs:
            self._alarm.sleep(self._look_at - time.monotonic())
        else:
            awaited = [
                one for recording in self._recordings.values() for one in recording.awaited()
            ]
            self._alarm.sleep(self._look_at - time.monotonic(), awaited)

    def _handle(self, event: str, params: dict[str, Any]) -> None:
        if event.startswith("recording."):
            self._describe(params.get("description", params))
        elif event in (SHUTDOWN, HUNG_UP):
            self._leaving = True
            for recording in self._recordings.values():
                recording.interrupt()
        elif event == "stop":
            self._stopped = True

    def _describe(self, plain: Mapping[str, Any]) -> None:
        try:
            description = parse_description(plain)
        except RingdaqError as error:
            log.error("a recording cannot be made: %s", error)
            self._report_trouble(plain, "failed", error)
            return
        recording = self._recordings.get(description.recording_id)
        if recording is not None:
            recording.update(description)
        else:
            self._try_open(description)

    def _try_open(self, description: Description) -> None:
        try:
            if not self._is_sealed(description.directory):
                self._open(begin_at(description, self._end_of_the_part_before(description)))
        except BlockingIOError:
            self._waiting[description.recording_id] = description
        except OSError as error:  # a full disk, which may not stay full
            self._waiting[description.recording_id] = description
            self._report_trouble(description.plain, "recording", error)
        except RingdaqError as error:
            log.error("a recording cannot be made: %s", error)
            self._report_trouble(description.plain, "failed", error)

    def _open(self, description: Description) -> Recording:
        recording = Recording(
            description,
            flush_secs=self._flush_secs,
            keep_journal=self._keep_journal,
            behind=True,
        )
        self._recordings[description.recording_id] = recording
        if self._noter is not None:
            self._noter.begin(description.plain)
        return recording

    def _end_of_the_part_before(self, description: Description) -> Places:
        """Where a recording begins that goes on with another one; empty if it does not."""
        before = description.plain.get("continues")
        if not before:
            return {}
        if before in self._waiting:
            raise BlockingIOError(f"{before} is not opened yet")
        recording = self._recordings.get(before)
        if recording is not None:
            return ends(recording.ledger)
        try:
            return ends_noted(description.directory.parent / str(before))
        except RecordingError as error:
            log.warning("%s may repeat what %s has: %s", description.recording_id, before, error)
            return {}

    def _report_trouble(self, plain: Mapping[str, Any], state: str, error: Exception) -> None:
        self._reporter.put(
            {
                "recording_id": str(plain.get("recording_id", "")),
                "state": state,
                "file": str(plain.get("file", "")),
                "streams": {},
                "error": str(error),
            }
        )

    # --- work

    def _step(self) -> bool:
        self._open_waiting()
        more = False
        for recording in list(self._recordings.values()):
            more = recording.step() or more
            if recording.state != "recording":
                del self._recordings[recording.description.recording_id]
                self._told.pop(recording.description.recording_id, None)
                if recording.state != "left":
                    self._reporter.put(recording.report())
                    if self._noter is not None:
                        self._noter.end(recording.description.file)
        return more

    def _open_waiting(self) -> None:
        now = time.monotonic()
        if not (self._waiting or self._orphans) or now < self._open_at:
            return
        self._open_at = now + OPEN_SECS
        self._orphans = [orphan for orphan in self._orphans if not self._adopt(orphan)]
        waiting, self._waiting = self._waiting, {}
        for description in waiting.values():
            self._try_open(description)

    def _report(self) -> None:
        """Tell the daemon once a second how all is going, and at once what has gone wrong."""
        now = time.monotonic()
        due = now >= self._report_at
        if due:
            self._report_at = now + REPORT_SECS
        for recording in self._recordings.values():
            if due or recording.trouble != self._told.get(recording.description.recording_id, ""):
                self._reporter.put(recording.report())
            self._told[recording.description.recording_id] = recording.trouble
