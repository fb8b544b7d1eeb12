"""CatalogueService: recordings, found and described by the daemon, read from their files here."""

# ruff: noqa: N802, ARG002 (the contract names the methods and their arguments)

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from ringdaq.gateway.auth import caller
from ringdaq.gateway.encode import enum_number, run_state
from ringdaq.gateway.grpc_types import Context
from ringdaq.gateway.link import DaemonLink
from ringdaq.recorder.documents import documents_of
from ringdaq.v1 import catalogue_pb2, catalogue_pb2_grpc, types_pb2
from ringdaq.wire import fill_values, from_map, to_json, to_value

DEFAULT_LIMIT = 100
REINDEX_SECS = 630.0


class CatalogueService(catalogue_pb2_grpc.CatalogueServiceServicer):
    """Asks the daemon's catalogue."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link

    async def FindRuns(
        self, request: catalogue_pb2.FindRunsRequest, context: Context
    ) -> catalogue_pb2.FindRunsResponse:
        params = {"wish": request.wish, "limit": request.limit or DEFAULT_LIMIT}
        found = await self._link.call("catalogue.find", params)
        return catalogue_pb2.FindRunsResponse(runs=[run_record(one) for one in found])

    async def GetRun(
        self, request: catalogue_pb2.GetRunRequest, context: Context
    ) -> catalogue_pb2.GetRunResponse:
        found = await self._link.call("catalogue.get", {"run": request.run})
        return catalogue_pb2.GetRunResponse(run=run_record(found, whole=True))

    async def AnnotateRun(
        self, request: catalogue_pb2.AnnotateRunRequest, context: Context
    ) -> catalogue_pb2.AnnotateRunResponse:
        params = {
            "run": request.run,
            "note": request.note if request.HasField("note") else None,
            "keys": from_map(request.keys),
            "add_tags": list(request.add_tags),
            "remove_tags": list(request.remove_tags),
            "user": caller(context),
        }
        found = await self._link.call("catalogue.annotate", params)
        return catalogue_pb2.AnnotateRunResponse(run=run_record(found, whole=True))

    async def CompareRuns(
        self, request: catalogue_pb2.CompareRunsRequest, context: Context
    ) -> catalogue_pb2.CompareRunsResponse:
        params = {"left": request.left, "right": request.right}
        found = await self._link.call("catalogue.compare", params)
        return catalogue_pb2.CompareRunsResponse(
            parameters=_differences(found["parameters"]),
            settings=_differences(found["settings"]),
            versions=_differences(found["versions"]),
            keys=_differences(found["keys"]),
            script=found["script"],
            rig=found["rig"],
        )

    async def DeleteRun(
        self, request: catalogue_pb2.DeleteRunRequest, context: Context
    ) -> catalogue_pb2.DeleteRunResponse:
        params = {"run": request.run, "confirm": request.confirm, "user": caller(context)}
        gone = await self._link.call("catalogue.delete", params)
        return catalogue_pb2.DeleteRunResponse(recording_id=gone["recording_id"], file=gone["file"])

    async def ReindexRuns(
        self, request: catalogue_pb2.ReindexRunsRequest, context: Context
    ) -> catalogue_pb2.ReindexRunsResponse:
        found = await self._link.call("catalogue.reindex", timeout=REINDEX_SECS)
        return catalogue_pb2.ReindexRunsResponse(read=found["read"], refused=found["refused"])

    async def StreamDocuments(
        self, request: catalogue_pb2.StreamDocumentsRequest, context: Context
    ) -> AsyncGenerator[catalogue_pb2.StreamDocumentsResponse, None]:
        found = await self._link.call("catalogue.get", {"run": request.run})
        documents = documents_of(found["file"])
        while (step := await asyncio.to_thread(next, documents, None)) is not None:
            name, document = step
            yield catalogue_pb2.StreamDocumentsResponse(name=name, json=to_json(document))


def run_record(plain: Mapping[str, Any], *, whole: bool = False) -> catalogue_pb2.RunRecord:
    """A recording as the catalogue has it."""
    state = plain["state"]
    record = catalogue_pb2.RunRecord(
        **{key: plain[key] for key in ("recording_id", "run_id", "file", "title", "script")},
        **{key: plain[key] for key in ("user", "sealed", "simulated", "start_nanos", "end_nanos")},
        **{key: plain[key] for key in ("rows", "lost_rows", "size_bytes", "note", "tags")},
        state=run_state("running" if state == "recording" else state),
        streams=[_stream(one) for one in plain["streams"]],
    )
    fill_values(record.keys, plain["keys"])
    fill_values(record.parameters, plain["about"]["script"]["parameters"])
    if whole:
        fill_values(record.about, plain["about"])
    return record


def _stream(plain: Mapping[str, Any]) -> catalogue_pb2.CataloguedStream:
    kind = enum_number(types_pb2.StreamKind, "STREAM_KIND", plain["kind"])
    return catalogue_pb2.CataloguedStream(**{**plain, "kind": kind})


def _differences(found: Mapping[str, Any]) -> list[catalogue_pb2.Difference]:
    return [
        catalogue_pb2.Difference(name=name, left=to_value(left), right=to_value(right))
        for name, (left, right) in found.items()
    ]
