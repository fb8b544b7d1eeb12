"""Calls to the catalogue of recordings: their requests, and how their answers read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ringdaq.client.calls import Call
from ringdaq.client.decode import enum_word
from ringdaq.client.runs import CataloguedStream, Comparison, Differences, RunRecord
from ringdaq.v1 import catalogue_pb2, types_pb2
from ringdaq.wire import fill_values, from_map, from_value

CATALOGUE = "/ringdaq.v1.CatalogueService/"
REINDEX_SECS = 660.0
Documents = Callable[[str], Any]
Document = tuple[str, dict[str, Any]]


def recording_id_of(run: Any) -> str:
    """A recording, however it was named."""
    found = run if isinstance(run, str) else getattr(run, "recording_id", None) or run.run_id
    return str(found)


def find(wish: str, limit: int, documents: Documents) -> Call[list[RunRecord]]:
    """Recordings that fulfil a wish."""
    return Call(
        CATALOGUE + "FindRuns",
        catalogue_pb2.FindRunsRequest(wish=wish, limit=limit),
        catalogue_pb2.FindRunsResponse,
        lambda answer: [_record(one, documents) for one in answer.runs],
    )


def get(run: Any, documents: Documents) -> Call[RunRecord]:
    """One recording."""
    return Call(
        CATALOGUE + "GetRun",
        catalogue_pb2.GetRunRequest(run=recording_id_of(run)),
        catalogue_pb2.GetRunResponse,
        lambda answer: _record(answer.run, documents),
    )


def annotate(
    run: Any,
    note: str | None,
    tags: Iterable[str],
    untag: Iterable[str],
    keys: Mapping[str, object],
    documents: Documents,
) -> Call[RunRecord]:
    """Change what people added to a recording."""
    request = catalogue_pb2.AnnotateRunRequest(
        run=recording_id_of(run), add_tags=list(tags), remove_tags=list(untag)
    )
    if note is not None:
        request.note = note
    fill_values(request.keys, keys)
    return Call(
        CATALOGUE + "AnnotateRun",
        request,
        catalogue_pb2.AnnotateRunResponse,
        lambda answer: _record(answer.run, documents),
    )


def compare(left: Any, right: Any) -> Call[Comparison]:
    """What differs between two recordings."""
    return Call(
        CATALOGUE + "CompareRuns",
        catalogue_pb2.CompareRunsRequest(left=recording_id_of(left), right=recording_id_of(right)),
        catalogue_pb2.CompareRunsResponse,
        lambda answer: Comparison(
            _differences(answer.parameters),
            _differences(answer.settings),
            _differences(answer.versions),
            _differences(answer.keys),
            list(answer.script),
            list(answer.rig),
        ),
    )


def delete(run: Any, confirm: str) -> Call[str]:
    """Delete a recording for good."""
    return Call(
        CATALOGUE + "DeleteRun",
        catalogue_pb2.DeleteRunRequest(run=recording_id_of(run), confirm=confirm),
        catalogue_pb2.DeleteRunResponse,
        lambda answer: str(answer.file),
    )


def reindex() -> Call[list[str]]:
    """Make the catalogue anew."""
    return Call(
        CATALOGUE + "ReindexRuns",
        catalogue_pb2.ReindexRunsRequest(),
        catalogue_pb2.ReindexRunsResponse,
        lambda answer: list(answer.read),
        REINDEX_SECS,
    )


def documents(run: Any) -> Call[Document]:
    """A recording as documents."""
    return Call(
        CATALOGUE + "StreamDocuments",
        catalogue_pb2.StreamDocumentsRequest(run=recording_id_of(run)),
        catalogue_pb2.StreamDocumentsResponse,
        _DocumentReader(),
        None,
    )


class _DocumentReader:
    """Reads documents in their order; JSON has no NaN and no infinities, and says them in words."""

    def __init__(self) -> None:
        self._numbers: dict[str, list[str]] = {}

    def __call__(self, message: catalogue_pb2.StreamDocumentsResponse) -> Document:
        document: dict[str, Any] = json.loads(message.json)
        if message.name == "descriptor":
            keys = document["data_keys"].items()
            self._numbers[document["uid"]] = [k for k, one in keys if one["dtype"] == "number"]
        elif message.name == "event_page":
            for key in self._numbers.get(document["descriptor"], ()):
                values = document["data"].get(key, ())
                document["data"][key] = [float(v) if isinstance(v, str) else v for v in values]
        return str(message.name), document


def _record(message: catalogue_pb2.RunRecord, documents: Documents) -> RunRecord:
    return RunRecord(
        recording_id=message.recording_id,
        run_id=message.run_id,
        file=message.file,
        title=message.title,
        script=message.script,
        user=message.user,
        state=enum_word(types_pb2.RunState.Name(message.state), "RUN_STATE_"),
        sealed=message.sealed,
        simulated=message.simulated,
        start_nanos=message.start_nanos,
        end_nanos=message.end_nanos,
        rows=message.rows,
        lost_rows=message.lost_rows,
        size_bytes=message.size_bytes,
        note=message.note,
        tags=list(message.tags),
        keys=from_map(message.keys),
        parameters=from_map(message.parameters),
        streams=[_stream(one) for one in message.streams],
        about=from_map(message.about),
        _documents=documents,
    )


def _stream(message: catalogue_pb2.CataloguedStream) -> CataloguedStream:
    return CataloguedStream(
        stream=message.stream,
        path=message.path,
        kind=enum_word(types_pb2.StreamKind.Name(message.kind), "STREAM_KIND_"),
        instrument=message.instrument,
        rows=message.rows,
        gap_rows=message.gap_rows,
        first_nanos=message.first_nanos,
        last_nanos=message.last_nanos,
    )


def _differences(found: Iterable[catalogue_pb2.Difference]) -> Differences:
    return {one.name: [from_value(one.left), from_value(one.right)] for one in found}
