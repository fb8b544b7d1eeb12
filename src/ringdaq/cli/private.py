"""A daemon of one's own, for the length of a command."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from ringdaq.cli.children import RINGDAQ, Children, end
from ringdaq.cli.exit_codes import FAILED
from ringdaq.cli.local import LocalDaemon, find_daemon
from ringdaq.cli.output import say
from ringdaq.errors import BusyError, DaemonUnreachableError, ServiceError

if TYPE_CHECKING:
    import subprocess
    from types import TracebackType

LOG_LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:")
START_SECS = 30.0
STOP_SECS = 45.0
"""Longer than a daemon waits for its recorder."""
POLL_SECS = 0.02


class PrivateDaemon:
    """Starts a daemon with a temporary state directory; leaving the context ends it."""

    def __init__(self, rig: Path | None = None, *, options: tuple[str, ...] = ()) -> None:
        self._options = options
        self._children = Children(STOP_SECS)
        self.state = Path(tempfile.mkdtemp(prefix="ringdaq-"))
        self.rig = rig or self.state / "rig.toml"
        """Without a rig file: write one here before the start."""
        self._rings: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.log = self.state / "private.log"

    def __enter__(self) -> LocalDaemon:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> LocalDaemon:
        """Start the daemon and wait until it serves."""
        command = [*RINGDAQ, "daemon", "--rig", str(self.rig)]
        command += ["--state", str(self.state), "--private", *self._options]
        with self.log.open("wb") as log:
            process = self._process = self._children.start(command, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._give_up(process.returncode)
            try:
                daemon = find_daemon(self.state)
                daemon.connect().close()
                self._rings = daemon.ring_directory
                return daemon
            except DaemonUnreachableError:
                time.sleep(POLL_SECS)
        raise ServiceError(
            f"the daemon should serve within {START_SECS:g} s and did not; "
            f"its last words: {self._last_words()!r}"
        )

    def _give_up(self, code: int) -> NoReturn:
        """Pass on what the daemon said and the code it ended with."""
        say(self._last_words())
        raise click.exceptions.Exit(code if code > 0 else FAILED)

    def _last_words(self) -> str:
        """What the daemon and its parts called errors, without the log; else the log's end."""
        return (
            self._complaint() or "\n".join(self._lines()[-5:]) or "the daemon ended without a word"
        )

    def _complaint(self) -> str:
        lines = self._lines()
        first = next((n for n, line in enumerate(lines) if line.startswith("error:")), len(lines))
        return "\n".join(line for line in lines[first:] if not LOG_LINE.match(line))

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").strip().splitlines()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # One that goes by itself takes nothing more before it cannot be reached.
            going = isinstance(error, BusyError | DaemonUnreachableError)
            if going and self._process is not None:
                code = self._end(self._process)
                if code > 0:  # it said why
                    self._give_up(code)
        finally:
            self.close()

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        """Its exit code; a signal would take that from one that goes by itself already."""
        deadline = time.monotonic() + STOP_SECS
        while self._complaint() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_SECS)
        return end(process, STOP_SECS)

    def close(self) -> None:
        """End the daemon and remove its state directory."""
        self._children.close()
        if self._rings is not None:
            # Its own alone, and gone already unless it was killed.
            shutil.rmtree(self._rings, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)
