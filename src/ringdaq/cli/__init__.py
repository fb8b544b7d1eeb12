"""The shell way in."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line, as `ringdaq` does."""
    from ringdaq.cli.root import root

    root(prog_name="ringdaq")
