"""The NeXus tree around the streams: everything that is known when a recording begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ringdaq import __version__
from ringdaq.model import StreamSpec
from ringdaq.recorder import hdf5

LAYOUT = 1
EVENTS = "events"
PIPELINES = "pipelines"
# In the order in which they decide what an instrument is to NeXus.
NX_CLASSES = (
    ("FrameProducer", "NXdetector"),
    ("Movable", "NXpositioner"),
    ("Readable", "NXsensor"),
    ("SampleProducer", "NXsensor"),
)
# What an instrument can do that the description does not name, but whose stream is recorded.
CAPABILITIES = {"frames": ("FrameProducer",), "samples": ("SampleProducer",)}
TOLD = frozenset({
    "recording_id", "run_id", "directory", "file", "title", "user", "started_nanos", "script",
    "rig", "versions", "instruments", "streams", "end", "storage", "git", "pipelines",
})  # fmt: skip


def build_root(file: Any, path: Path, description: Mapping[str, Any]) -> Any:
    """Fill an empty file with the tree; returns the entry."""
    h5py = hdf5.h5py_module()
    started = hdf5.iso_time(int(description.get("started_nanos", 0)))
    file.attrs["NX_class"] = "NXroot"
    file.attrs["default"] = "entry"
    file.attrs["file_name"] = hdf5.text(path.name)
    file.attrs["file_time"] = started
    file.attrs["creator"] = "ringdaq"
    file.attrs["creator_version"] = __version__
    file.attrs["HDF5_Version"] = h5py.version.hdf5_version
    file.attrs["h5py_version"] = h5py.version.version
    entry = hdf5.group(file, "entry", "NXentry", default="data", state="recording", layout=LAYOUT)
    entry.attrs["sealed"] = False
    _build_entry(entry, description, started)
    return entry


def _build_entry(entry: Any, description: Mapping[str, Any], started: str) -> None:
    hdf5.field(entry, "title", description.get("title") or "")
    hdf5.field(entry, "start_time", started)
    # Fixed length, so that it can be rewritten in place while the file grows.
    entry.create_dataset("end_time", data=np.bytes_(started))
    hdf5.field(entry, "entry_identifier", str(description["recording_id"]))
    hdf5.field(entry, "experiment_identifier", str(description.get("run_id") or ""))
    hdf5.field(entry, "program_name", "ringdaq").attrs["version"] = __version__
    user = hdf5.group(entry, "user", "NXuser")
    hdf5.field(user, "name", description.get("user") or "")
    _build_process(entry, description.get("script"), started)
    _build_rig(entry, description.get("rig") or {})
    hdf5.fields(
        hdf5.group(entry, "versions", "NXcollection"), dict(description.get("versions") or {})
    )
    hdf5.fields(hdf5.group(entry, "git", "NXcollection"), dict(description.get("git") or {}))
    rest = {key: value for key, value in description.items() if key not in TOLD}
    hdf5.fields(hdf5.group(entry, "metadata", "NXcollection"), rest)
    _build_instruments(entry, description.get("instruments") or [])
    hdf5.group(entry, "data", "NXdata")
    hdf5.group(entry, "end", "NXcollection")
    # A run emits its first row at any time; a group added to the entry later would put all others
    # at risk if a kill came right then.
    hdf5.group(entry, EVENTS, "NXcollection")
    hdf5.group(entry, PIPELINES, "NXcollection")
    add_pipelines(entry, description)


def _build_process(entry: Any, script: Mapping[str, Any] | None, started: str) -> None:
    process = hdf5.group(entry, "process", "NXprocess")
    if script is None:
        return
    hdf5.field(process, "program", script.get("name") or "")
    hdf5.field(process, "version", script.get("hash") or "")
    hdf5.field(process, "date", started)
    note = hdf5.group(process, "script", "NXnote")
    hdf5.field(note, "type", f"text/x-{script.get('language') or 'python'}")
    hdf5.field(note, "file_name", script.get("name") or "")
    hdf5.field(note, "data", script.get("text") or "")
    hdf5.field(note, "identifier", str(script.get("id") or ""))
    hdf5.field(note, "hash", script.get("hash") or "")
    hdf5.fields(hdf5.group(process, "parameters", "NXcollection"), script.get("parameters") or {})


def _build_rig(entry: Any, rig: Mapping[str, Any]) -> None:
    note = hdf5.group(entry, "rig", "NXnote")
    hdf5.field(note, "type", "application/toml")
    hdf5.field(note, "file_name", str(rig.get("path") or ""))
    hdf5.field(note, "data", rig.get("text") or "")
    hdf5.field(note, "hash", rig.get("hash") or "")


def add_pipelines(entry: Any, description: Mapping[str, Any]) -> None:
    """What was computed on the way, as its author wrote it; those that are there already stay."""
    root = entry[PIPELINES]
    there = {made.attrs["name"] for made in root.values()}
    for pipeline in description.get("pipelines") or ():
        if pipeline["name"] not in there:
            _build_pipeline(root, pipeline)


def _build_pipeline(root: Any, pipeline: Mapping[str, Any]) -> None:
    note = hdf5.group(root, hdf5.link_name(str(pipeline["name"]), root), "NXnote")
    note.attrs["name"] = hdf5.text(pipeline["name"])
    hdf5.field(note, "type", "application/toml")
    hdf5.field(note, "file_name", str(pipeline.get("path") or ""))
    hdf5.field(note, "data", pipeline["text"])
    hdf5.field(note, "hash", pipeline["hash"])
    parameters = hdf5.group(note, "parameters", "NXcollection")
    hdf5.fields(parameters, pipeline.get("parameters") or {})
    code = hdf5.group(note, "code", "NXcollection")
    for path, text in (pipeline.get("code") or {}).items():
        file = hdf5.group(code, hdf5.link_name(path, code), "NXnote")
        hdf5.field(file, "type", "text/x-python")
        hdf5.field(file, "file_name", path)
        hdf5.field(file, "data", text)


def _build_instruments(entry: Any, instruments: Sequence[Mapping[str, Any]]) -> None:
    root = hdf5.group(entry, "instrument", "NXinstrument")
    for instrument in instruments:
        build_instrument(root, instrument)


def build_instrument(root: Any, instrument: Mapping[str, Any]) -> Any:
    """One instrument: what it is, and its settings before; those after come at the end."""
    capabilities = [str(c) for c in instrument.get("capabilities") or ()]
    made = hdf5.group(
        root,
        hdf5.link_name(str(instrument["name"]), root),
        nx_class(capabilities),
        driver=str(instrument.get("driver") or ""),
        simulated=bool(instrument.get("simulated")),
        capabilities=" ".join(capabilities),
    )
    made.attrs["name"] = hdf5.text(instrument["name"])
    hdf5.field(made, "name", str(instrument["name"]))
    hdf5.field(made, "description", str(instrument.get("driver") or ""))
    unit = hdf5.text(instrument.get("unit") or "")
    made.attrs["unit"] = unit
    settings = instrument.get("settings") or {}
    hdf5.fields(hdf5.group(made, "settings", "NXcollection"), settings)
    hdf5.group(made, "settings_after", "NXcollection")
    limits = hdf5.group(made, "limits", "NXcollection")
    for quantity, ends in (instrument.get("limits") or {}).items():
        limit = limits.create_dataset(hdf5.link_name(str(quantity), limits), data=list(ends))
        limit.attrs["units"] = unit
    return made


def nx_class(capabilities: Sequence[str]) -> str:
    """The NeXus class that says best what can do this."""
    return next((nexus for name, nexus in NX_CLASSES if name in capabilities), "NXcollection")


def instrument_group(entry: Any, name: str) -> Any:
    """The group of an instrument by its true name, or `None`."""
    for made in entry["instrument"].values():
        if made.attrs.get("name") == hdf5.text(name):
            return made
    return None


def link_stream(entry: Any, spec: StreamSpec, target: str) -> None:
    """Let an instrument's group point to what it measured; the first stream wins."""
    if not spec.instrument:
        return
    made = instrument_group(entry, spec.instrument)
    if made is None:
        made = build_instrument(
            entry["instrument"],
            {
                "name": spec.instrument,
                "simulated": spec.simulated,
                "capabilities": CAPABILITIES.get(spec.kind, ()),
            },
        )
    link = "value" if spec.kind == "rows" else "data"
    if link not in made:
        made[link] = hdf5.h5py_module().SoftLink(target)


def finish(entry: Any, end: Mapping[str, Any]) -> None:
    """Write what is known only at the end; `state` itself comes last."""
    closing = entry["end"]
    told = {key: value for key, value in end.items() if key != "settings" and value is not None}
    hdf5.fields(closing, told)
    for name, settings in (end.get("settings") or {}).items():
        made = instrument_group(entry, str(name))
        if made is not None and isinstance(settings, Mapping):
            hdf5.fields(made["settings_after"], settings)
    ended = end.get("ended_nanos")
    if ended:
        entry["end_time"][()] = np.bytes_(hdf5.iso_time(int(ended)))
    hdf5.put(entry, "state", hdf5.text(end.get("state") or "interrupted"))
