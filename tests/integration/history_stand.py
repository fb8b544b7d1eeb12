"""Rings, and recorded files of stretches of them, to look back at."""

from __future__ import annotations

import time

from ringdaq.gateway.history import HistoryDesk
from ringdaq.recorder.catalogue import Catalogue
from ringdaq.recorder.description import parse_description
from ringdaq.recorder.recording import Recording
from ringdaq.streams import StreamReader

DEADLINE_SECS = 30.0


class HistoryStand:
    """A data directory beside a directory of rings, and a desk that looks back at both."""

    def __init__(self, rings, data):
        self.rings = rings
        self.data = data
        self.desk = HistoryDesk(rings, lambda: Catalogue(data))

    def save(self, writer, name, first=0, end=None, part=None):
        """Record the ring's records from one up to another, sealed."""
        recording = Recording(
            parse_description(self._description(writer, name, first, end, part)), flush_secs=0.0
        )
        deadline = time.monotonic() + DEADLINE_SECS
        while recording.state == "recording":
            recording.step()
            assert time.monotonic() < deadline, recording.report()
        assert recording.report()["state"] == "sealed"
        recording.close()
        file = self.data / f"{name}.h5"
        catalogue = Catalogue(self.data)
        catalogue.note(file)
        catalogue.close()
        return file

    def _description(self, writer, name, first, end, part):
        now = writer.statistics()
        following = now.next_sequence if end is None else end
        stream = {
            "name": writer.spec.name,
            "path": str(writer.path),
            "generation": writer.generation,
            "start_sequence": first,
            "start_rows": self._rows_before(writer, first),
            "end_sequence": following,
            "end_rows": self._rows_before(writer, following),
            "spec": writer.spec.to_dict(),
        }
        return {
            "recording_id": name,
            "run_id": "",
            "title": name,
            "user": "ada",
            "started_nanos": now.first_nanos,
            "directory": str(self.data / "journals" / name),
            "file": str(self.data / f"{name}.h5"),
            "rig": {"text": "", "path": "", "hash": ""},
            "versions": {},
            "streams": [stream],
            "end": {"state": "completed", "error": None, "ended_nanos": now.last_nanos + 1},
            **({} if part is None else {"part": {"recording": "c", "number": part}}),
        }

    def _rows_before(self, writer, sequence):
        now = writer.statistics()
        if sequence >= now.next_sequence:
            return now.rows
        with StreamReader.open(writer.path) as reader:
            return reader.frame(sequence)[3]

    def close(self):
        self.desk.close()
