"""A recording as documents of Bluesky's event model, made from its file.

Rows become event pages. Samples and images stay in the file: a stream resource says where, and a
stream datum which rows. The uids follow from the recording's id, so a run gives the same documents
each time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.model import SAMPLES, Channel
from ringdaq.recorder.readback import RecordedFile, RecordedStream

Document = tuple[str, dict[str, Any]]
PAGE_ROWS = 1000
NAMESPACE = uuid.UUID("0b9b1e2a-6f0e-5b55-9e5a-3f1d3f6d9a11")
MIMETYPE = "application/x-hdf5"
EXIT_STATUS = {"completed": "success", "stopped": "abort"}


def documents_of(path: str | Path) -> Iterator[Document]:
    """A recording's documents, each with its name, in the order of the event model."""
    with RecordedFile(path) as file:
        about = file.about()
        uids = _Uids(about["recording_id"])
        yield "start", _start(about, uids)
        counts: dict[str, int] = {}
        for name, stream in file.streams.items():
            counts[name] = stream.rows
            yield "descriptor", _descriptor(name, stream, about, uids)
            yield from _resources(file, name, stream, uids)
            yield from _pages(name, stream, uids)
        yield "stop", _stop(about, counts, uids)


class _Uids:
    """Names for the documents of one run."""

    def __init__(self, recording_id: str) -> None:
        self._base = uuid.uuid5(NAMESPACE, recording_id)

    def of(self, *parts: object) -> str:
        return str(uuid.uuid5(self._base, "/".join(map(str, parts))))

    @property
    def start(self) -> str:
        return self.of("start")


def _start(about: Mapping[str, Any], uids: _Uids) -> dict[str, Any]:
    script = about["script"]
    return {
        "uid": uids.start,
        "time": about["started_nanos"] / NANOS_PER_SEC,
        "plan_name": script["name"],
        "plan_args": _keyed(script["parameters"]),
        "recording_id": about["recording_id"],
        "run_id": about["run_id"],
        "title": about["title"],
        "user": about["user"],
        "script": {key: script[key] for key in ("name", "hash", "text")},
        "rig": about["rig"],
        "versions": about["versions"],
        "metadata": _keyed(about["metadata"]),
        "simulated": sorted(n for n, one in about["instruments"].items() if one["simulated"]),
    }


def _descriptor(
    name: str, stream: RecordedStream, about: Mapping[str, Any], uids: _Uids
) -> dict[str, Any]:
    spec = stream.spec
    began = int(stream.times(0, 1)[0]) if stream.rows else about["started_nanos"]
    keys = dict(_data_keys(stream))
    device = _key(spec.instrument or name)
    return {
        "uid": uids.of("descriptor", name),
        "run_start": uids.start,
        "time": began / NANOS_PER_SEC,
        "name": name,
        "data_keys": keys,
        "object_keys": {device: list(keys)},
        "hints": {device: {"fields": [k for k, one in keys.items() if "external" not in one]}},
        "configuration": {device: _configuration(spec.instrument, about, began)},
        "simulated": spec.simulated,
        "sample_rate_hz": None if spec.sample_rate is None else float(spec.sample_rate),
    }


def _configuration(instrument: str, about: Mapping[str, Any], nanos: int) -> dict[str, Any]:
    settings = about["instruments"].get(instrument, {}).get("settings", {})
    return {
        "data": {_key(key): held["value"] for key, held in settings.items()},
        "timestamps": dict.fromkeys(map(_key, settings), nanos / NANOS_PER_SEC),
        "data_keys": {
            _key(key): {
                "source": f"ringdaq:{instrument}.{key}",
                "dtype": _dtype_of(held["value"]),
                "shape": list(np.shape(held["value"])),
                "units": held["unit"],
            }
            for key, held in settings.items()
        },
    }


def _data_keys(stream: RecordedStream) -> Iterator[tuple[str, dict[str, Any]]]:
    spec = stream.spec
    source = f"ringdaq:{spec.instrument or 'run'}:{spec.name}"
    if spec.kind == "samples":
        units = sorted({channel.unit for channel in spec.channels})
        yield (
            SAMPLES,
            {
                "source": source,
                "dtype": "array",
                "shape": [1, len(spec.channels)],
                "dtype_numpy": np.dtype(spec.channels[0].dtype).str,
                "units": units[0] if len(units) == 1 else "",
                "external": "STREAM:",
                "channels": [_channel(channel) for channel in spec.channels],
            },
        )
        return
    for channel in spec.channels:
        yield _key(channel.name), _channel_key(channel, source)


def _channel_key(channel: Channel, source: str) -> dict[str, Any]:
    key: dict[str, Any] = {"source": source, "shape": [], "units": channel.unit}
    key["name"] = channel.name
    if channel.shape:
        numpy_type = np.dtype(channel.dtype).str
        shape = [1, *channel.shape]
        scaling = {"scale": channel.scale, "offset": channel.offset}
        array = {"dtype": "array", "shape": shape, "dtype_numpy": numpy_type}
        return key | array | scaling | {"external": "STREAM:"}
    if channel.dtype in ("string", "bool"):
        return {**key, "dtype": "string" if channel.dtype == "string" else "boolean"}
    return {**key, "dtype": "number"}


def _channel(channel: Channel) -> dict[str, Any]:
    parts = ("name", "unit", "scale", "offset", "description")
    return {part: getattr(channel, part) for part in parts}


def _resources(
    file: RecordedFile, name: str, stream: RecordedStream, uids: _Uids
) -> Iterator[Document]:
    """Where the arrays of a stream are; nothing for one without rows."""
    keys = {key: one for key, one in _data_keys(stream) if "external" in one}
    for key, data_key in keys.items() if stream.rows else ():
        dataset = stream.dataset(data_key.get("name", key))
        resource = uids.of("resource", name, key)
        yield (
            "stream_resource",
            {
                "uid": resource,
                "run_start": uids.start,
                "data_key": key,
                "mimetype": MIMETYPE,
                "uri": f"file://localhost{file.path.resolve()}",
                "parameters": {
                    "dataset": dataset.name,
                    "chunk_shape": [1, *dataset.shape[1:]],
                    "swmr": False,
                },
            },
        )
        yield (
            "stream_datum",
            {
                "uid": f"{resource}/0",
                "stream_resource": resource,
                "descriptor": uids.of("descriptor", name),
                "indices": {"start": 0, "stop": stream.rows},
                "seq_nums": {"start": 1, "stop": stream.rows + 1},
            },
        )


def _pages(name: str, stream: RecordedStream, uids: _Uids) -> Iterator[Document]:
    keys = [c for c in stream.spec.channels if not c.shape] if stream.spec.kind != "samples" else []
    for first in range(0, stream.rows if keys else 0, PAGE_ROWS):
        end = min(first + PAGE_ROWS, stream.rows)
        stamps = (stream.times(first, end) / NANOS_PER_SEC).tolist()
        yield (
            "event_page",
            {
                "descriptor": uids.of("descriptor", name),
                "uid": [uids.of("event", name, row) for row in range(first, end)],
                "seq_num": list(range(first + 1, end + 1)),
                "time": stamps,
                "data": {_key(c.name): _values(stream, c, first, end) for c in keys},
                "timestamps": {_key(c.name): stamps for c in keys},
                "filled": {},
            },
        )


def _values(stream: RecordedStream, channel: Channel, first: int, end: int) -> list[Any]:
    """Physical values; `None` where one is missing."""
    values: list[Any] = stream.physical(channel, first, end).tolist()
    missing = stream.missing(channel.name, first, end)
    return (
        values
        if missing is None
        else [None if m else v for v, m in zip(values, missing, strict=True)]
    )


def _stop(about: Mapping[str, Any], counts: Mapping[str, int], uids: _Uids) -> dict[str, Any]:
    error = about["end"].get("error")
    return {
        "uid": uids.of("stop"),
        "run_start": uids.start,
        "time": (about["end"].get("ended_nanos") or about["ended_nanos"]) / NANOS_PER_SEC,
        "exit_status": EXIT_STATUS.get(about["state"], "fail"),
        "reason": str(error.get("message", "") if isinstance(error, Mapping) else error or ""),
        "num_events": dict(counts),
        "state": about["state"],
    }


def _dtype_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number" if isinstance(value, float) else "integer"
    return "array" if isinstance(value, list) else "string"


def _key(name: str) -> str:
    """A name as the event model takes one: without dots and slashes."""
    return name.replace(".", "_").replace("/", "_")


def _keyed(value: Any) -> Any:
    """Plain values, all names in them as the event model takes them."""
    if isinstance(value, Mapping):
        return {_key(str(key)): _keyed(one) for key, one in value.items()}
    return [_keyed(one) for one in value] if isinstance(value, list) else value
