"""What of the locked room this machine can provide, and what then is missing."""

from __future__ import annotations

from dataclasses import dataclass

from ringdaq.errors import ScriptError
from ringdaq.scripts import landlock, seccomp


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What confines scripts on this machine."""

    landlock_abi: int
    """0 where there is none."""
    seccomp_lacking: str | None
    """Why there is no filter of system calls."""

    @property
    def missing(self) -> list[str]:
        """The walls that are not there, each with its reason."""
        walls = []
        if self.landlock_abi == 0:
            walls.append("landlock (the kernel has none, or has it switched off)")
        if self.seccomp_lacking is not None:
            walls.append(f"seccomp ({self.seccomp_lacking})")
        return walls

    def __str__(self) -> str:
        covered = landlock.covers(self.landlock_abi)
        files = f"abi={self.landlock_abi} ({covered})" if self.landlock_abi else "none"
        calls = "yes" if self.seccomp_lacking is None else f"none ({self.seccomp_lacking})"
        return f"sandbox: landlock {files}, seccomp={calls}"


def probe() -> Sandbox:
    """Ask the kernel."""
    return Sandbox(landlock.abi(), seccomp.lacking())


def require_walls(policy: str) -> None:
    """Raise `ScriptError` where the policy is "strict" and a wall is missing."""
    if policy == "strict" and (missing := probe().missing):
        raise ScriptError(
            f"the rig's policy for scripts is 'strict' and this machine lacks "
            f"{' and '.join(missing)}; run a kernel that has it, or set "
            '[scripts] policy = "best-effort" in the rig file'
        )
