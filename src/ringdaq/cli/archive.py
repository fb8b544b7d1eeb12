"""Where the `runs` commands ask: a daemon here, one over the network, or a directory of files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from ringdaq.cli.local import find_daemon
from ringdaq.cli.output import plain

Run = dict[str, Any]
REINDEX_SECS = 700.0


class Archive(Protocol):
    """A catalogue of recordings."""

    def find(self, wish: str, limit: int) -> list[Run]:
        """Recordings that fulfil a wish, the newest first."""

    def get(self, run: str) -> Run:
        """One recording."""

    def annotate(self, run: str, changes: Mapping[str, Any]) -> Run:
        """Change note, keys, tags; returns the recording as it is then."""

    def compare(self, left: str, right: str) -> dict[str, Any]:
        """What differs."""

    def delete(self, run: str, confirm: str) -> str:
        """Delete for good; returns where the file was."""

    def reindex(self) -> dict[str, Any]:
        """Make the catalogue anew; returns the files `read` and `refused`."""

    def documents(self, run: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """A recording as documents."""


class LocalArchive:
    """The daemon of this machine, over its control socket."""

    def __init__(self, control: Any) -> None:
        self._call = control.call

    def find(self, wish: str, limit: int) -> list[Run]:
        found: list[Run] = self._call("catalogue.find", {"wish": wish, "limit": limit})
        return found

    def get(self, run: str) -> Run:
        found: Run = self._call("catalogue.get", {"run": run})
        return found

    def annotate(self, run: str, changes: Mapping[str, Any]) -> Run:
        found: Run = self._call("catalogue.annotate", {"run": run, **changes})
        return found

    def compare(self, left: str, right: str) -> dict[str, Any]:
        found: Run = self._call("catalogue.compare", {"left": left, "right": right})
        return found

    def delete(self, run: str, confirm: str) -> str:
        return str(self._call("catalogue.delete", {"run": run, "confirm": confirm})["file"])

    def reindex(self) -> dict[str, Any]:
        found: Run = self._call("catalogue.reindex", timeout=REINDEX_SECS)
        return found

    def documents(self, run: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return _documents(self.get(run)["file"])


class DirectoryArchive:
    """A directory of recordings, without a daemon; looks for new files first."""

    def __init__(self, directory: Path) -> None:
        from ringdaq.recorder.catalogue import Catalogue

        self.catalogue = Catalogue(directory)
        self.catalogue.refresh()

    def find(self, wish: str, limit: int) -> list[Run]:
        return self.catalogue.find(wish, limit=limit)

    def get(self, run: str) -> Run:
        return self.catalogue.get(run)

    def annotate(self, run: str, changes: Mapping[str, Any]) -> Run:
        return self.catalogue.annotate(run, **changes)

    def compare(self, left: str, right: str) -> dict[str, Any]:
        from ringdaq.recorder.catalogue.compare import compare

        return compare(self.get(left), self.get(right))

    def delete(self, run: str, confirm: str) -> str:
        return str(self.catalogue.delete(run, confirm=confirm)["file"])

    def reindex(self) -> dict[str, Any]:
        return self.catalogue.reindex()

    def documents(self, run: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return _documents(self.get(run)["file"])


class RemoteArchive:
    """A daemon over the network."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, wish: str, limit: int) -> list[Run]:
        return [_shown(found) for found in self._client.find_runs(wish, limit=limit)]

    def get(self, run: str) -> Run:
        return _shown(self._client.run(run))

    def annotate(self, run: str, changes: Mapping[str, Any]) -> Run:
        found = self._client.annotate(
            run,
            note=changes["note"],
            tags=changes["add_tags"],
            untag=changes["remove_tags"],
            **changes["keys"],
        )
        return _shown(found)

    def compare(self, left: str, right: str) -> dict[str, Any]:
        found: Run = plain(self._client.compare(left, right))
        return found

    def delete(self, run: str, confirm: str) -> str:
        return str(self._client.delete_run(run, confirm=confirm))

    def reindex(self) -> dict[str, Any]:
        return {"read": self._client.reindex_runs(), "refused": []}

    def documents(self, run: str) -> Iterator[tuple[str, dict[str, Any]]]:
        with self._client.documents(run) as found:
            yield from found


def _shown(record: Any) -> Run:
    found: Run = plain(record)
    del found["_documents"]
    return found


def _documents(file: str) -> Iterator[tuple[str, dict[str, Any]]]:
    from ringdaq.recorder.documents import documents_of

    return documents_of(file)


@contextmanager
def open_archive(data: Path | None, address: str | None, token: str | None) -> Iterator[Archive]:
    """The catalogue of a directory, of the daemon at an address, or of this machine's daemon."""
    if data is not None:
        archive = DirectoryArchive(data)
        try:
            yield archive
        finally:
            archive.catalogue.close()
    elif address is not None:
        from ringdaq.client import connect

        with connect(address, token=token) as client:
            yield RemoteArchive(client)
    else:
        control = find_daemon().connect()
        try:
            yield LocalArchive(control)
        finally:
            control.close()
