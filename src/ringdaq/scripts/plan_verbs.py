"""Scans, as a script calls them; the daemon carries them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ringdaq.scripts.verbs import Caller

Columns = dict[str, list[float]]
Rows = list[dict[str, float]]


class PlanVerbs:
    """`scan` and its like for one script."""

    def __init__(self, caller: Caller, name_of: Callable[[object], object]) -> None:
        self._caller = caller
        self._name_of = name_of

    def adaptive(
        self,
        stage: object,
        start: float,
        choose: Callable[[Rows], float | None],
        detectors: object = (),
        points: int = 1000,
    ) -> Columns:
        """Go where `choose` says, from `start` on, until it says `None` or after `points`."""
        if not callable(choose):
            raise TypeError(
                "adaptive takes a stage, a start, a function of the rows, and may take detectors "
                "and points"
            )
        rows: Rows = []
        target: float | None = start
        while target is not None and len(rows) < points:
            share = len(rows) / points, 1.0 / points
            rows.append(self._point(stage, target, detectors, share))
            target = choose(rows)
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}

    def _point(
        self, stage: object, target: float, detectors: object, share: tuple[float, float]
    ) -> dict[str, float]:
        columns = self._ask("point", (stage, target, detectors), {}, share)
        assert isinstance(columns, dict)
        return {name: values[0] for name, values in columns.items()}

    def verb(self, name: str) -> Callable[..., object]:
        """The plan of that name."""

        def call(*args: object, **kwargs: object) -> object:
            return self._ask(name, args, kwargs, (0.0, 1.0))

        call.__name__ = call.__qualname__ = name
        return call

    adaptive.__qualname__ = "adaptive"  # Python tells of wrong arguments by this name

    def _ask(
        self,
        name: str,
        args: tuple[object, ...],
        kwargs: dict[str, object],
        share: tuple[float, float],
    ) -> object:
        plain = [self._plain(a) for a in args], {k: self._plain(v) for k, v in kwargs.items()}
        region = self._caller.progress.share(*share)
        try:
            return self._caller.ask("plan", [name, *plain, list(region)])
        except (TypeError, ValueError, OverflowError) as error:
            said = "adaptive" if name == "point" else name
            raise type(error)(f"{said} takes instruments, numbers and lists; {error}") from None

    def _plain(self, value: object) -> object:
        if isinstance(value, list | tuple | range):
            return [self._plain(item) for item in value]
        return self._name_of(value)
