"""The network face: gRPC in front of the control socket."""

from __future__ import annotations

# The room is entered as a process, `python -m ringdaq.gateway`, and never imported by another.
__all__: list[str] = []
