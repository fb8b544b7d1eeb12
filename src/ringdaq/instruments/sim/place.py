"""Where the stage stands that a simulated instrument follows."""

from collections.abc import Callable

from ringdaq.errors import ConfigError
from ringdaq.instruments.capabilities import Movable
from ringdaq.instruments.driver import Site
from ringdaq.instruments.sim.stage import SimulatedStage

PlaceOf = Callable[[], float]


def place_of(site: Site, follows: str | None) -> PlaceOf | None:
    """A function that tells the position of the instrument to follow, `None` for none."""
    if follows is None:
        return None
    stage = site.follow(follows)
    if isinstance(stage, SimulatedStage):
        return stage.true_position
    if not isinstance(stage, Movable):
        raise ConfigError(
            f"{site.name} can only follow an instrument that moves; found {follows!r}, "
            f"which does not"
        )
    return stage.position
