"""Parameters that change while a pipeline runs: planned anew, then handed to the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from ringdaq.config import nearest
from ringdaq.errors import ConfigError
from ringdaq.pipeline.graph import CheckedGraph, CheckedStage, core_names
from ringdaq.pipeline.transform import Planned, RefusedError
from ringdaq.streams.failures import CORE_ERRORS

if TYPE_CHECKING:
    import ringdaq_core as core

SET_SECS = 5.0


class Changes:
    """What the stages of a running graph are set to."""

    def __init__(self, graph: CheckedGraph, pipeline: core.Pipeline) -> None:
        self._pipeline = pipeline
        self._stages = {stage.name: stage for stage in graph.stages}

    def make(self, values: Mapping[str, Any]) -> None:
        """Change `stage.parameter`s; all are checked before the first of them changes."""
        by_stage: dict[str, dict[str, Any]] = {}
        for key, value in values.items():
            name, _, parameter = key.partition(".")
            if name not in self._stages or not parameter:
                hint = nearest(name, self._stages)
                raise ConfigError(f"write stage.parameter; no stage {name!r}: {hint}")
            by_stage.setdefault(name, {})[parameter] = value
        planned = [self._planned(self._stages[name], new) for name, new in by_stage.items()]
        for stage in planned:
            self._hand_over(self._stages[stage.name], stage)
            self._stages[stage.name] = stage

    def _planned(self, stage: CheckedStage, new: Mapping[str, Any]) -> CheckedStage:
        if stage.planned is None or stage.given is None:
            raise ConfigError(f"stage {stage.name!r} cannot change while it runs; restart it")
        parameters = stage.config.parameters | new
        model = stage.kind.options()
        try:
            options: Any = model.model_validate(parameters)
            planned = options.plan(stage.given, stage.site)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(
                f"{stage.name}.{'.'.join(map(str, first['loc']))}: {first['msg']}; "
                f"found {first['input']!r}"
            ) from None
        except RefusedError as error:
            raise ConfigError(f"{stage.name}: {error}") from None
        _check_shape(stage, planned)
        config = stage.config.model_copy(update=dict(new))
        return replace(stage, config=config, options=options, planned=planned)

    def _hand_over(self, before: CheckedStage, after: CheckedStage) -> None:
        assert before.planned is not None
        assert after.planned is not None
        pairs = zip(core_names(after), before.planned.stages, after.planned.stages, strict=True)
        for name, old, new in pairs:
            for parameter, value in new.parameters.items():
                if not _same(old.parameters.get(parameter), value):
                    self._set(name, parameter, value)

    def _set(self, stage: str, parameter: str, value: Any) -> None:
        try:
            self._pipeline.set(stage, parameter, value, SET_SECS)
        except CORE_ERRORS as error:
            raise ConfigError(
                f"stage {stage!r}: {parameter!r} cannot change while it runs: {error}"
            ) from None


def _check_shape(stage: CheckedStage, planned: Planned) -> None:
    """Refuse what would change the form of the results, on which others rely."""
    assert stage.planned is not None
    kinds = [[made.kind for made in plan.stages] for plan in (stage.planned, planned)]
    if planned.output != stage.planned.output or kinds[0] != kinds[1]:
        raise ConfigError(
            f"stage {stage.name!r}: this changes what its packets are; change the text and restart"
        )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(np.asarray(one), np.asarray(other))
    return bool(one == other)
