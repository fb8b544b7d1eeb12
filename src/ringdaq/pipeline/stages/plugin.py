"""A user's own stage, in Python or compiled."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from ringdaq.pipeline.native import NativeStage
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Sink, Site
from ringdaq.pipeline.plugins import (
    PluginCall,
    PluginSink,
    check_names,
    load_file,
    load_installed,
    load_module,
    make_plugin,
)
from ringdaq.pipeline.transform import CoreStage, Planned, Transform

Text = Annotated[str, Field(min_length=1)]


class Plugin(Transform):
    """Runs a class with `process(view)`, or a function of `native_stage`.

    All other keys are its own parameters.
    """

    model_config = ConfigDict(extra="allow")

    file: Text | None = None
    """A file of Python; a relative path begins where the graph's text lies."""
    class_: Annotated[Text | None, Field(alias="class")] = None
    """Which class or native stage of the file, where there are several."""
    module: Text | None = None
    """`package.module:Class`, of an installed package."""
    plugin: Text | None = None
    """The name of an installed plugin; its name as the stage's `type` says the same."""

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if sum(place is not None for place in (self.file, self.module, self.plugin)) != 1:
            raise ValueError("write one of file, module and plugin")
        if self.class_ is not None and self.file is None:
            raise ValueError("class belongs to file")
        return self

    @property
    def values(self) -> dict[str, Any]:
        """The plugin's own parameters."""
        return dict(self.model_extra or {})

    def _load(self, site: Site) -> Any:
        if self.plugin is not None:
            return load_installed(self.plugin)
        if self.module is not None:
            return load_module(self.module)
        assert self.file is not None
        return load_file(site.resolve(self.file), self.class_)

    def plan(self, given: PacketFormat, site: Site) -> Planned:
        """The core's `native` or `python`."""
        found = self._load(site)
        if isinstance(found, NativeStage):
            check_names(self.values, found.signature)
            parameters = found.core_parameters(self.values, given)
            return Planned((CoreStage("native", parameters),), given)
        call = PluginCall(
            partial(make_plugin, found, self.values), given, anew=site.on_error == "restart"
        )
        return Planned((CoreStage("python", {"call": call, "in_place": True}),), given)

    def tap(self, given: PacketFormat, site: Site) -> Sink:  # noqa: ARG002
        """The plugin as the end of a path."""
        found = self._load(site)
        if isinstance(found, NativeStage):
            raise RefusedError("a native stage runs on the data_plane", "stage_type")
        return PluginSink(make_plugin(found, self.values))
