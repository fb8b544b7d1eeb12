"""What local peers can ask of the catalogue: the methods `catalogue.*` of the control socket."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ringdaq.daemon.audit import Audit
from ringdaq.daemon.control_server import Method, Peer
from ringdaq.errors import RecordingError
from ringdaq.recorder.catalogue import Catalogue
from ringdaq.recorder.catalogue.compare import compare

REINDEX_SECS = 600.0


class CatalogueDesk:
    """Answers from the database alone; files are read by other processes."""

    def __init__(self, data_directory: Path, audit: Audit) -> None:
        self._catalogue = Catalogue(data_directory)
        self._audit = audit

    def methods(self) -> dict[str, Method]:
        """The table that the control server serves."""
        return {
            "catalogue.find": self._find,
            "catalogue.get": self._get,
            "catalogue.annotate": self._annotate,
            "catalogue.compare": self._compare,
            "catalogue.delete": self._delete,
            "catalogue.reindex": self._reindex,
        }

    def _find(self, peer: Peer, wish: str = "", limit: int = 100) -> list[dict[str, Any]]:
        del peer
        return self._catalogue.find(wish, limit=limit)

    def _get(self, peer: Peer, run: str) -> dict[str, Any]:
        del peer
        return self._catalogue.get(run)

    def _annotate(
        self,
        peer: Peer,
        run: str,
        note: str | None = None,
        keys: dict[str, Any] | None = None,
        add_tags: list[str] | None = None,
        remove_tags: list[str] | None = None,
        user: str = "",
    ) -> dict[str, Any]:
        changes = {"note": note, "keys": keys or {}}
        tags = {"add_tags": add_tags or [], "remove_tags": remove_tags or []}
        found = self._catalogue.annotate(run, **changes, **tags)
        self._audit.note(
            user or peer.who, "run.annotate", found["recording_id"], new=changes | tags
        )
        return found

    def _compare(self, peer: Peer, left: str, right: str) -> dict[str, Any]:
        del peer
        return compare(self._catalogue.get(left), self._catalogue.get(right))

    def _delete(self, peer: Peer, run: str, confirm: str, user: str = "") -> dict[str, Any]:
        gone = self._catalogue.delete(run, confirm=confirm)
        self._audit.note(user or peer.who, "run.delete", gone["recording_id"], old=gone["file"])
        return {"recording_id": gone["recording_id"], "file": gone["file"]}

    def _reindex(self, peer: Peer) -> dict[str, Any]:
        del peer
        command = [sys.executable, "-P", "-m", "ringdaq.recorder.catalogue"]
        try:
            done = subprocess.run(
                [*command, str(self._catalogue.directory)],
                capture_output=True,
                text=True,
                timeout=REINDEX_SECS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RecordingError(
                f"the catalogue should be made anew within {REINDEX_SECS:g} s and was not; "
                f"use 'ringdaq runs reindex --data': {self._catalogue.directory}"
            ) from None
        if done.returncode:
            raise RecordingError(f"the catalogue could not be made anew: {done.stderr.strip()}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    def close(self) -> None:
        """Let go of the database."""
        self._catalogue.close()
