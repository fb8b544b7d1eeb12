"""Which runs there are, and when they are over: asked of the daemon, once for all who wait."""

from __future__ import annotations

import logging
from contextlib import aclosing

from ringdaq.errors import RingdaqError, UnknownRunError
from ringdaq.gateway.link import DaemonLink
from ringdaq.gateway.shared_poll import SharedPolls
from ringdaq.model import RunState

log = logging.getLogger(__name__)

LOOK_SECS = 0.5
"""How soon the end of a run is noticed."""


class DaemonRuns:
    """The runs of the daemon behind the link."""

    def __init__(self, link: DaemonLink) -> None:
        self._link = link
        self._polls = SharedPolls(self._is_over, LOOK_SECS)

    async def _state(self, run_id: str) -> RunState:
        return RunState((await self._link.call("runs.status", {"run_id": run_id}))["state"])

    async def known(self, run_id: str) -> bool:
        """Whether there is, or was, a run of that id; raises what the daemon answers otherwise."""
        try:
            await self._state(run_id)
        except UnknownRunError:
            return False
        return True

    async def over(self, run_id: str) -> None:
        """Wait until a run is over: the daemon closes its rings before it says so."""
        async with aclosing(self._polls.listen(run_id)) as answers:
            async for over in answers:
                if over:
                    return

    async def _is_over(self, run_id: str) -> bool:
        try:
            return (await self._state(run_id)).ended
        except UnknownRunError:
            return True
        except RingdaqError as error:  # a daemon that is busy, or back in a moment
            log.debug("whether run %s is over is not known now: %s", run_id, error)
            return False
