"""Dry runs: a script on the simulated twin of a rig, in virtual time."""

from ringdaq.daemon.twin.apart import DryRuns
from ringdaq.daemon.twin.dry_run import DryRun, check_report, dry_run_file

__all__ = ["DryRun", "DryRuns", "check_report", "dry_run_file"]
