"""One line of the table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass
class Figure:
    """A figure, its limit, and what it must reach."""

    id: str
    what: str
    value: float
    unit: str
    """`ns`, `us`, `ms`, `s`, `%`, `1`, or a rate."""
    must_reach: str = ""
    """In words; "" where nothing is asked."""
    met: bool | None = None
    """Whether it is reached; None where nothing is asked."""
    limit: float | None = None
    """In the same unit."""
    limit_is: str = ""
    ratio: float | None = None
    """The ratio that `must_reach` speaks of, else value ÷ limit."""
    peers: dict[str, float] = field(default_factory=dict)
    """In the same unit."""
    more: dict[str, float] = field(default_factory=dict)
    """Further figures, with their units in their names."""

    def __post_init__(self) -> None:
        if self.ratio is None and self.limit:
            self.ratio = self.value / self.limit

    def plain(self) -> dict[str, object]:
        """The figure as `results/pipeline.json` has it."""
        return asdict(self)
