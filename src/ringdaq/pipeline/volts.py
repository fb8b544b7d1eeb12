"""Units of voltage as people write them, and numbers in them as volts."""

from __future__ import annotations

from types import MappingProxyType

VOLTS_PER_UNIT = MappingProxyType(
    {
        **dict.fromkeys(("v", "volt", "volts"), 1.0),
        **dict.fromkeys(("mv", "millivolt", "millivolts"), 1e-3),
        # The micro sign, and the Greek letter that looks the same.
        **dict.fromkeys(("uv", "\u00b5v", "\u03bcv", "microvolt", "microvolts"), 1e-6),
        **dict.fromkeys(("nv", "nanovolt", "nanovolts"), 1e-9),
    }
)
"""By the unit in small letters."""


def volts_per(unit: str) -> float | None:
    """How many volts one of a unit is; `None` where it is no unit of voltage."""
    return VOLTS_PER_UNIT.get(unit.strip().lower())
