"""Scans: the fast loops that scripts ask for and the daemon carries out."""

from ringdaq.daemon.plans.execution import Execution
from ringdaq.daemon.plans.shapes import shape

__all__ = ["Execution", "shape"]
