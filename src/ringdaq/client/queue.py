"""The queue of runs, as the blocking client sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ringdaq.client import queue_calls
from ringdaq.client.queue_results import QueueEntry, QueueState
from ringdaq.client.results import ScriptInfo


class Queue:
    """Runs that wait for their turn; made by the client, as its `queue`."""

    def __init__(self, ask: Callable[[Any], Any]) -> None:
        self._ask = ask

    def add(
        self,
        script: str | ScriptInfo,
        parameters: Mapping[str, object] | None = None,
        instruments: Sequence[str] | None = None,
        *,
        repeat: int = 1,
        on_failure: str = "stop",
        dry_run: bool = True,
    ) -> QueueEntry:
        """Put a run at the end; `on_failure` is `stop` or `continue`.

        Raises `ScriptRejectedError` where it could not start, or its dry run does not complete.
        """
        found: QueueEntry = self._ask(
            queue_calls.add(script, parameters, instruments, repeat, on_failure, dry_run)
        )
        return found

    def list(self) -> QueueState:
        """The entries, the next one first."""
        found: QueueState = self._ask(queue_calls.entries())
        return found

    def move(self, entry: str | QueueEntry, place: int) -> QueueState:
        """Put an entry at another place; 0 is the next to run."""
        found: QueueState = self._ask(queue_calls.move(entry, place))
        return found

    def remove(self, entry: str | QueueEntry) -> QueueState:
        """Take an entry out; raises `BusyError` while it runs."""
        found: QueueState = self._ask(queue_calls.remove(entry))
        return found

    def edit(
        self,
        entry: str | QueueEntry,
        *,
        parameters: Mapping[str, object] | None = None,
        repeat: int | None = None,
        on_failure: str | None = None,
        dry_run: bool = True,
    ) -> QueueState:
        """Change an entry; what is `None` stays."""
        found: QueueState = self._ask(
            queue_calls.edit(entry, parameters, repeat, on_failure, dry_run)
        )
        return found

    def pause(self) -> QueueState:
        """Start no more runs; the one that goes on goes on."""
        found: QueueState = self._ask(queue_calls.pause())
        return found

    def resume(self) -> QueueState:
        """Go on with the first entry."""
        found: QueueState = self._ask(queue_calls.resume())
        return found
