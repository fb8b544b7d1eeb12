"""Other parameters for a stage that runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from pydantic import ValidationError

from ringdaq.config import problems_of
from ringdaq.errors import ConfigError
from ringdaq.pipeline.graph import CheckedGraph, CheckedStage
from ringdaq.pipeline.parts import RefusedError
from ringdaq.pipeline.transform import CoreStage, Planned, Transform

CHANGEABLE = {
    "sos": {"sos"},
    "envelope": {"sos"},
    "threshold": {"level", "hysteresis"},
}
"""What the core changes while it runs, by kind; of a `native` stage, all its parameters."""


class Change(NamedTuple):
    """A parameter of one of the core's stages, by its name."""

    stage: str
    parameter: str
    value: object
    before: object
    """The value until now."""


def changes(
    graph: CheckedGraph, name: str, values: Mapping[str, object]
) -> tuple[list[Change], CheckedGraph]:
    """What to `set` in the core so that a running stage has other parameters, and the graph then.

    Refused with a `ConfigError`: a wrong value, one that changes the form of the results, and one
    that the core cannot change.
    """
    stage = graph.stage(name)
    if stage.planned is None:
        raise ConfigError(f"stage {name!r} has no parameters that can change while it runs")
    options, planned = _plan_anew(stage, values)
    if planned.output != stage.output or len(planned.stages) != len(stage.planned.stages):
        raise ConfigError(
            f"stage {name!r}: {', '.join(values)} would change the form of its results; "
            f"change the text and start the pipeline anew"
        )
    together = zip(stage.core_names, stage.planned.stages, planned.stages, strict=True)
    found = [change for core_name, old, new in together for change in _differ(core_name, old, new)]
    changed = replace(stage, options=options, planned=planned)
    stages = tuple(changed if other is stage else other for other in graph.stages)
    return found, replace(graph, stages=stages)


def _plan_anew(stage: CheckedStage, values: Mapping[str, object]) -> tuple[Transform, Planned]:
    assert isinstance(stage.options, Transform)
    assert stage.given is not None
    written = stage.options.model_dump(exclude_unset=True, by_alias=True)
    try:
        options = type(stage.options).model_validate(written | dict(values))
        return options, options.plan(stage.given, stage.site)
    except ValidationError as error:
        wrong = "; ".join(map(str, problems_of(error, type(stage.options), {})))
        raise ConfigError(f"stage {stage.name!r}: {wrong}") from None
    except RefusedError as error:
        raise ConfigError(f"stage {stage.name!r}: {error}") from None


def _differ(name: str, old: CoreStage, new: CoreStage) -> Iterator[Change]:
    if new.kind == "python":
        raise ConfigError(f"plugin {name!r} cannot change while it runs; start it anew")
    if new.kind == "native":
        pairs = zip(old.parameters["parameters"], new.parameters["parameters"], strict=True)
        yield from (Change(name, str(n), b, a) for n, (a, b) in enumerate(pairs) if a != b)
        return
    can, keys = CHANGEABLE.get(new.kind, set()), old.parameters.keys() | new.parameters.keys()
    differ = {key for key in keys if old.parameters.get(key) != new.parameters.get(key)}
    if fixed := sorted(differ - can):
        raise ConfigError(
            f"stage {name!r}: {', '.join(fixed)} cannot change while it runs; "
            f"change the text and start the pipeline anew"
        )
    yield from (Change(name, k, new.parameters[k], old.parameters[k]) for k in sorted(differ))
