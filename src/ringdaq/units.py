"""Unit symbols, as they stand in rig files, rings and recordings (UCUM's case-sensitive symbols)."""

from __future__ import annotations

PREFIXES = {
    "": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12,
}  # fmt: skip
_LENGTH_IN_M = {f"{p}m": f for p, f in PREFIXES.items()} | {"in": 0.0254}
_ANGLE_IN_DEG = {"deg": 1.0, "rad": 57.29577951308232, "mrad": 0.05729577951308232}
_TIME_IN_S = {f"{p}s": f for p, f in PREFIXES.items()} | {"min": 60.0, "h": 3600.0}
_POWER_IN_W = {f"{p}W": f for p, f in PREFIXES.items()}
_VOLTAGE_IN_V = {f"{p}V": f for p, f in PREFIXES.items()}
_FREQUENCY_IN_HZ = {f"{p}Hz": f for p, f in PREFIXES.items()}

DIMENSIONS = {
    "length": _LENGTH_IN_M,
    "angle": _ANGLE_IN_DEG,
    "time": _TIME_IN_S,
    "power": _POWER_IN_W,
    "voltage": _VOLTAGE_IN_V,
    "frequency": _FREQUENCY_IN_HZ,
}


def dimension_of(unit: str) -> str | None:
    """The dimension a unit measures, or `None` for a unit not in the table."""
    return next((name for name, table in DIMENSIONS.items() if unit in table), None)


def convert(value: float, unit: str, to: str) -> float:
    """Express a value in another unit of the same dimension; raises `ValueError` across dimensions."""
    dimension = dimension_of(unit)
    if dimension is None or dimension != dimension_of(to):
        raise ValueError(f"units must measure the same thing; found {unit!r} and {to!r}")
    table = DIMENSIONS[dimension]
    return value * table[unit] / table[to]
