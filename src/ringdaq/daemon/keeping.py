"""What is recorded beside the runs: streams without end, and the past, after the fact."""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.config import Rig
from ringdaq.daemon.open_rings import OpenRing
from ringdaq.daemon.publish import Publisher
from ringdaq.daemon.recordings import CONTINUOUS, SAVED, RecordingDesk, from_here
from ringdaq.errors import BadRequestError, OverrunError, RecordingError, StreamError
from ringdaq.streams import RingStatistics, StreamReader

log = logging.getLogger(__name__)

LOOK_SECS = 0.5
MOST_SECS = 366 * 86_400.0
TRIES = 20
MARGIN_NANOS = NANOS_PER_SEC // 2
MARGIN_SHARE = 16
"""Of what a full ring holds, so much at most is left to be overwritten before it can be saved."""


@dataclass
class Continuous:
    """A recording that goes on in file after file until it is stopped."""

    recording_id: str
    title: str
    user: str
    patterns: tuple[str, ...]
    rotate_secs: float | None
    rotate_bytes: int | None
    part: int = 0
    began: float = 0.0
    files: list[str] = field(default_factory=list)

    @property
    def part_id(self) -> str:
        """The id of the part that is written now."""
        return f"{self.recording_id}-{self.part:04d}"

    def wants(self, stream: str) -> bool:
        """Whether a stream belongs to it; those of runs only where they are named."""
        return matches(stream, self.patterns)

    def is_due(self) -> bool:
        """Whether the next file is to be begun."""
        if self.rotate_secs is not None and time.monotonic() - self.began >= self.rotate_secs:
            return True
        return self.rotate_bytes is not None and _size(self.files[-1]) >= self.rotate_bytes


class Keeper:
    """Starts, rotates and stops continuous recordings, and saves the past out of the rings."""

    def __init__(
        self,
        rig: Rig,
        desk: RecordingDesk,
        publisher: Publisher,
        instruments: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._rig, self._desk, self._publisher = rig, desk, publisher
        self._instruments = instruments
        self._lock = threading.Lock()
        self._open: dict[str, Continuous] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="keeper", daemon=True)

    def methods(self) -> dict[str, Callable[..., Any]]:
        """What it adds to the control socket."""
        return {
            "recordings.start": self._start,
            "recordings.stop": lambda _, recording_id: self.stop(recording_id),
            "recordings.list": lambda _: self.going_on(),
            "recordings.status": lambda _, recording_id: self.status(recording_id),
            "recordings.save": self._save,
        }

    def start(self) -> None:
        """Begin what the rig file wants recorded all the time."""
        wanted = self._rig.recording.continuous
        if wanted and self._desk.enabled:
            self.record(wanted, title="continuous", user="rig file")
        self._thread.start()

    def close(self) -> None:
        """End all recordings."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        for recording_id in list(self._open):
            self.stop(recording_id)

    # --- on and on

    def _start(
        self,
        peer: Any,
        streams: Sequence[str],
        title: str = "recording",
        rotate_secs: float | None = None,
        rotate_bytes: int | None = None,
        user: str = "",
    ) -> dict[str, Any]:
        return self.record(
            streams,
            title=title,
            user=user or peer.who,
            rotate_secs=rotate_secs,
            rotate_bytes=rotate_bytes,
        )

    def record(
        self,
        streams: Sequence[str],
        *,
        title: str,
        user: str,
        rotate_secs: float | None = None,
        rotate_bytes: int | None = None,
    ) -> dict[str, Any]:
        """Record streams from now on until `stop`; without rotation of its own, the rig file's."""
        self._check_enabled()
        for value in (rotate_secs, rotate_bytes):
            if value is not None and not value > 0:
                raise BadRequestError(f"a recording is rotated after more than 0; found {value!r}")
        asked = self._rig.recording
        made = Continuous(
            new_id(CONTINUOUS),
            safe_title(title),
            user,
            tuple(streams) or ("*",),
            asked.rotate_secs if rotate_secs is None else rotate_secs,
            asked.rotate_bytes if rotate_bytes is None else rotate_bytes,
        )
        rings = self._rings_of(made)
        if not rings:
            there = [ring.spec.name for ring in self._publisher.open_rings()]
            raise _none_matches(made.patterns, there)
        with self._lock:
            description = self._next_part(made)
            description["streams"] = [from_here(ring, whole=False) for ring in rings]
            made.files.append(self._desk.begin(description, rings))
            self._open[made.recording_id] = made
        return self.status(made.recording_id)

    def _rings_of(self, recording: Continuous) -> list[OpenRing]:
        return [r for r in self._publisher.open_rings() if recording.wants(r.spec.name)]

    def _next_part(self, recording: Continuous) -> dict[str, Any]:
        recording.part += 1
        recording.began = time.monotonic()
        return self._desk.describe(
            recording.part_id,
            title=recording.title,
            user=recording.user,
            instruments=self._instruments(),
            part={"recording": recording.recording_id, "number": recording.part},
        )

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECS):
            with self._lock:
                for recording in self._open.values():
                    self._look_after(recording)

    def _look_after(self, recording: Continuous) -> None:
        try:
            for ring in self._rings_of(recording):
                if not self._desk.records(recording.part_id, ring):
                    self._desk.add_stream(recording.part_id, ring)
            if recording.is_due():
                self._rotate(recording)
        except (OSError, StreamError, RecordingError) as error:
            log.error("recording %s: %s", recording.recording_id, error)

    def _rotate(self, recording: Continuous) -> None:
        old = recording.part_id
        description = self._next_part(recording)
        recording.files.append(self._desk.hand_over(old, description, ending("rotated")))

    def stop(self, recording_id: str) -> dict[str, Any]:
        """End a continuous recording where its streams are now."""
        with self._lock:
            recording = self._open.pop(recording_id, None)
        if recording is None:
            raise RecordingError(
                f"a continuous recording should go on; there is none {recording_id!r}; "
                f"there are: {', '.join(self._open) or 'none'}"
            )
        self._desk.close(recording.part_id, ending("completed"))
        return self._shown(recording)

    def going_on(self) -> list[dict[str, Any]]:
        """The continuous recordings that go on."""
        with self._lock:
            found = list(self._open.values())
        return [self._shown(recording) for recording in found]

    def status(self, recording_id: str) -> dict[str, Any]:
        """How a recording stands: a continuous one, one of its parts, or a saved one."""
        with self._lock:
            recording = self._open.get(recording_id)
        if recording is not None:
            return self._shown(recording)
        report = self._desk.status(recording_id)
        if report is None:
            raise RecordingError(f"no recording {recording_id!r} is known")
        return {"recording_id": recording_id, "files": [report["file"]], **report}

    def _shown(self, recording: Continuous) -> dict[str, Any]:
        return {
            "recording_id": recording.recording_id,
            "part_id": recording.part_id,
            "title": recording.title,
            "files": list(recording.files),
            **(self._desk.status(recording.part_id) or {}),
        }

    # --- the past

    def _save(
        self,
        peer: Any,
        last_secs: float,
        streams: Sequence[str] = (),
        title: str = "saved",
        user: str = "",
    ) -> dict[str, Any]:
        """Write what the rings hold of the last seconds to a file of its own."""
        self._check_enabled()
        if not 0 < last_secs <= MOST_SECS:
            raise BadRequestError(
                f"the past to save is longer than 0 s and up to a year; found {last_secs!r} s"
            )
        until = now_nanos()
        since = until - round(last_secs * NANOS_PER_SEC)
        past = self._past(since, tuple(streams))
        recording_id = new_id(SAVED)
        description = self._desk.describe(
            recording_id,
            title=safe_title(title),
            user=user or peer.who,
            streams=past,
            instruments=self._instruments(),
            started_nanos=since,
            saved={"last_secs": float(last_secs), "until_nanos": until},
        )
        description["end"] = ending("completed")
        self._desk.begin(description)
        return self.status(recording_id)

    def _past(self, since: int, patterns: tuple[str, ...]) -> list[dict[str, Any]]:
        """Every generation of the streams that has rows since then, old to new."""
        rings = self._publisher.rings
        names = [n for n in rings.streams() if not patterns or matches(n, patterns)]
        if not names:
            raise _none_matches(patterns, rings.streams())
        found = [past_of(path, since) for name in names for path in rings.generations(name)]
        return [entry for entry in found if entry is not None]

    def _check_enabled(self) -> None:
        if not self._desk.enabled:
            raise RecordingError(
                "recording needs the recorder, which this rig has switched off; "
                f"write recorder = true under [daemon]: {self._rig.path}"
            )


def past_of(path: Path, since_nanos: int) -> dict[str, Any] | None:
    """A ring from a moment on to its newest record, as a description has it; `None` if empty."""
    try:
        with StreamReader.open(path) as reader:
            now = reader.statistics()
            if now.last_nanos is None or now.last_nanos < since_nanos:
                return None
            sequence, rows = first_since(reader, now, max(since_nanos, _lasting_since(now)))
            return {
                "name": reader.spec.name,
                "path": str(path),
                "generation": reader.generation,
                "start_sequence": sequence,
                "start_rows": rows,
                "end_sequence": now.next_sequence,
                "end_rows": now.rows,
                "spec": reader.spec.to_dict(),
            }
    except (OSError, StreamError) as error:
        log.warning("a ring cannot be saved: %s", error)
        return None


def _lasting_since(now: RingStatistics) -> int:
    """From when on rows are still there when the recorder comes; the oldest ones of a full ring are
    overwritten meanwhile."""
    if now.first_nanos is None or now.last_nanos is None:
        return 0
    full = now.oldest_sequence > 0 and now.writer_alive and not now.closed
    margin = min(MARGIN_NANOS, (now.last_nanos - now.first_nanos) // MARGIN_SHARE)
    return now.first_nanos + margin if full else now.first_nanos


def first_since(reader: StreamReader, now: RingStatistics, since_nanos: int) -> tuple[int, int]:
    """The first record that is left with a row of that time or later, and the rows before it."""
    sequence = reader.find(since_nanos)
    for _ in range(TRIES):
        try:
            return sequence, reader.read(sequence).first_row
        except OverrunError as error:
            sequence = error.resume_at
    return now.next_sequence, now.rows


def matches(stream: str, patterns: Sequence[str]) -> bool:
    """Whether a stream is meant; those of runs only where a pattern begins with `run`."""
    return any(
        fnmatchcase(stream, pattern)
        for pattern in patterns
        if pattern.startswith("run") or not stream.startswith("run.")
    )


def _none_matches(patterns: Sequence[str], there: Sequence[str]) -> RecordingError:
    return RecordingError(
        f"a recording needs a stream; none is called {', '.join(map(repr, patterns))}; "
        f"there are: {', '.join(there) or 'none'}"
    )


def ending(state: str) -> dict[str, Any]:
    """How a recording that is no run's ends."""
    return {"state": state, "error": None, "ended_nanos": now_nanos(), "settings": {}}


def new_id(prefix: str) -> str:
    """An id that sorts by time and does not repeat."""
    return prefix + time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + "-" + secrets.token_hex(3)


def safe_title(title: str) -> str:
    """A title as a part of a file name."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", title).strip("._-")[:60] or "recording"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
