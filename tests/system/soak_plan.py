"""How the soak's minutes are shared, and what it counted."""

import os

MINUTES = float(os.environ.get("RINGDAQ_SOAK_MINUTES", "1"))
SHARES = {
    "time travel": 0.17,
    "pipeline": 0.17,
    "pipeline kills": 0.02,
    "writer kills": 0.15,
    "mutations": 0.08,
    "reader kills": 0.01,
    "runs": 0.05,
    "crash images": 0.22,
    "recorder kills": 0.13,
}
"""Parts of the whole.

In an hour, time travel and the pipeline reach ten minutes, each part of the ring its full number.
"""

counts: dict[str, object] = {}
"""What is printed at the end."""


def seconds_for(what: str) -> float:
    """How long a test of the soak may take."""
    return 60 * MINUTES * SHARES[what]


def report(what: str, number: object) -> None:
    """Put a count into the table at the end."""
    counts[what] = number
