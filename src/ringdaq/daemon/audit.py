"""Who commanded what, when, from which value to which: written down for good."""

from __future__ import annotations

import json
import queue
import threading
from typing import Any

from ringdaq.clock import now_nanos
from ringdaq.daemon.store import Store

# A full queue makes commands wait for the disk; none is carried out unrecorded.
QUEUE_LENGTH = 10_000
BATCH = 500


class Audit:
    """Takes audit entries from any thread and commits them in batches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: queue.Queue[tuple[Any, ...] | None] = queue.Queue(QUEUE_LENGTH)
        self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self._thread.start()

    def note(
        self,
        who: str,
        action: str,
        target: str,
        *,
        old: Any = None,
        new: Any = None,
        outcome: str = "ok",
    ) -> None:
        """Add one entry; waits when the disk is that far behind."""
        entry = (now_nanos(), who, action, target, json.dumps(old), json.dumps(new), outcome)
        self._queue.put(entry)

    def flush(self) -> None:
        """Wait until every entry noted so far is on disk."""
        self._queue.join()

    def close(self) -> None:
        """Write what is left, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (entry := self._queue.get()) is not None:
            batch = [entry]
            closing = self._fill(batch)
            self._store.add_audit(batch)
            for _ in batch:
                self._queue.task_done()
            if closing:
                return

    def _fill(self, batch: list[tuple[Any, ...]]) -> bool:
        """Add what else is waiting; returns whether the end was among it."""
        while len(batch) < BATCH:
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return False
            if entry is None:
                return True
            batch.append(entry)
        return False
