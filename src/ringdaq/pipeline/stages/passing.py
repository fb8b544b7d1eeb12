"""Does nothing."""

from __future__ import annotations

from ringdaq.pipeline.parts import PacketFormat, Site
from ringdaq.pipeline.transform import CoreStage, Planned, Transform


class Pass(Transform):
    """Lets packets of any form pass."""

    def plan(self, given: PacketFormat, site: Site) -> Planned:  # noqa: ARG002
        """The core's `pass`."""
        return Planned((CoreStage("pass", {}),), given)
