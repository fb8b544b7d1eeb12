"""What one run may spend."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from ringdaq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Limits:
    """The budgets of one run; each has an error of its own that names it."""

    operations: int = 10_000
    """Statements and loop turns between two verbs; a verb, `sleep` or `emit` starts anew."""
    total_operations: int = 10**9
    """Statements and loop turns of the whole run."""
    verbs_per_sec: float = 2_000.0
    """Verbs beyond it wait; `throttle.SLACK_SECS` of it may come at once."""
    wall_secs: float = 86_400.0
    """From start to end, waiting included."""
    memory_bytes: int = 512 << 20
    """Address space of the script's process, the interpreter included."""
    output_bytes: int = 1 << 20
    """Everything that `print` and `log` write, as UTF-8."""
    stop_secs: float = 5.0
    """What `finally` blocks get after a stop or a used-up limit, before the process is killed."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"the script limit {name!r} must be above 0; found {value!r}")
        if self.memory_bytes < MINIMUM_MEMORY_BYTES:
            raise ConfigError(
                f"the script limit 'memory_bytes' must be at least {MINIMUM_MEMORY_BYTES}, "
                f"which the interpreter itself needs; found {self.memory_bytes}"
            )

    def to_dict(self) -> dict[str, int | float]:
        """The limits as plain values."""
        return asdict(self)


MINIMUM_MEMORY_BYTES = 64 << 20
