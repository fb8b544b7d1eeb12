"""The page about pipeline files, made from the models and the table of types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined

from ringdaq.config.pipeline import (
    ConnectionConfig,
    PipelineEntry,
    PipelineFile,
    PlacementConfig,
    PoolConfig,
    StageConfig,
)
from ringdaq.pipeline.catalogue import KINDS, StageKind

if TYPE_CHECKING:
    from pydantic import BaseModel

HEAD = """\
# The pipeline file

A pipeline is a list of stages in a TOML file, or in a rig file as `[pipeline.NAME]`.
`ringdaq pipeline check FILE` says whether it is right, `ringdaq pipeline graph FILE` draws it.
How to write one is in [build a pipeline](../how-to/build-a-pipeline.md),
how it runs in [its explanation](../explanations/pipeline.md).

```toml
version = 1
name = "clean"

[[stage]]
type = "ring_source"
stream = "eeg"

[[stage]]
type = "to_voltage"

[[stage]]
type = "bandpass"
low_hz = 1.0
high_hz = 40.0

[[stage]]
type = "ring_sink"
```

## What follows what

- A stage without `input` takes what the nearest source or transform above it makes;
  so a straight chain needs no more than its order.
- A sink takes packets and lets them pass: what stands behind it follows the stage before it.
- `input = "NAME"` names another stage, `input = ["A", "B"]` several,
  whose packets must have one form.
- A `zip` has two ways in, `first` and `second`, which `input = ["A", "B"]` fills in this order;
  a connection names one as `to = "zip.second"`.
- A `[[connection]]` makes a way too, or says how one that is there is to be:
  its queue, or a thread of its own.

Where only one stage follows another, there is no queue: both run on one thread.
A fork, a join, a source in Python, a sink in Python and
`thread = true` make a queue with a thread behind it.

The order of keys and tables is free, and the same text always gives the same pipeline.
"""

LIVE = """\
## Presets

`[preset.NAME.STAGE]` holds values that a stage has in the place of its own,
under `--preset NAME` or a rig's `use_preset`.
A preset changes parameters, not what leads where, nor a stage's type.

```toml
[preset.america.notch]
frequency_hz = 60.0
```
"""

KIND_HEAD = """\
## Types of stages

| type | is a | what it gives or takes | needs |
| --- | --- | --- | --- |
"""

TABLES: Mapping[str, type[BaseModel]] = {
    "At the top": PipelineFile,
    "`[[stage]]`": StageConfig,
    "`[[connection]]`": ConnectionConfig,
    "`[pool.NAME]`": PoolConfig,
    "`[placement]`": PlacementConfig,
    "`[pipeline.NAME]` of a rig file": PipelineEntry,
}
PARTS = ("pool", "stage", "connection", "preset", "placement")
"""Tables of their own, which no row tells."""


def written(value: Any) -> str:
    """A default as one would write it."""
    if value is PydanticUndefined:
        return "must be written"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, dict):
        pairs = (f"{key} = {list(edges)}" for key, edges in value.items())
        return f"`{{ {', '.join(pairs)} }}`"
    return f"`{list(value) if isinstance(value, tuple) else value}`".replace("'", '"')


def choices(annotation: Any) -> str:
    """The words that a key may be, where there are only so many."""
    if get_origin(annotation) is Literal:
        words = [written(word) for word in get_args(annotation)]
        return f" One of {', '.join(words)}." if len(words) > 1 else ""
    inner = [choices(part) for part in get_args(annotation)]
    return next((words for words in inner if words), "")


def keys_of(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of each key of a model, those that must be written first."""
    fields = sorted(model.model_fields.items(), key=lambda item: not item[1].is_required())
    whole = issubclass(model, PipelineFile | PipelineEntry)
    for name, field in fields:
        key = field.alias or name
        if not whole or key not in PARTS:
            said = " ".join((field.description or "").split()) + choices(field.annotation)
            yield key, written(field.get_default(call_default_factory=True)), said


def key_table(model: type[BaseModel]) -> str:
    """A model's keys."""
    rows = [f"| `{key}` | {default} | {said} |" for key, default, said in keys_of(model)]
    if not rows:
        return "It has no keys of its own.\n"
    return "\n".join(["| key | default | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def kind_row(name: str, kind: StageKind) -> str:
    """A type's line in the table of types."""
    needs = f"`ringdaq[{kind.extra}]`" if kind.extra else ""
    return f"| [`{name}`](#{name}) | {kind.role} | {kind.summary} | {needs} |"


def kind_section(name: str, kind: StageKind) -> str:
    """A type's own keys."""
    told = " ".join((kind.load().__doc__ or "").split())
    return f"### `{name}`\n\n{told}\n\n{key_table(kind.options())}"


def pipeline_page() -> str:
    """The whole page."""
    parts = [HEAD]
    for heading, model in TABLES.items():
        parts.append(f"## {heading}\n\n{key_table(model)}")
    parts.append(LIVE)
    rows = (kind_row(name, kind) for name, kind in KINDS.items())
    parts.append(KIND_HEAD + "\n".join(rows) + "\n")
    parts += [kind_section(name, kind) for name, kind in KINDS.items()]
    return "\n".join(parts)
