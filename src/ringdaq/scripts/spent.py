"""The errors of used-up limits: which, its value, the line, and what to do."""

from __future__ import annotations

from ringdaq.errors import ScriptLimitError


def operations_spent(operations: int, line: int) -> ScriptLimitError:
    """Too much computing between two verbs."""
    return ScriptLimitError(
        f"a script may do {operations} operations between two verbs; used up at line {line}; "
        "call a verb or sleep(), or raise 'operations' in the rig file",
        limit="operations",
        line=line,
    )


def total_operations_spent(operations: int, line: int) -> ScriptLimitError:
    """Too much computing in the whole run."""
    return ScriptLimitError(
        f"a run may do {operations} operations in all; used up at line {line}; "
        "compute less, or raise 'total_operations' in the rig file",
        limit="total_operations",
        line=line,
    )


def wall_spent(secs: float, line: int) -> ScriptLimitError:
    """The run took longer than it may."""
    return ScriptLimitError(
        f"a run may take {secs:g} s; used up at line {line}; "
        "divide the work, or raise 'wall_secs' in the rig file",
        limit="wall_secs",
        line=line,
    )


def throttled(verbs_per_sec: float) -> str:
    """What is said once, of verbs that come too quickly; they wait, and the run goes on."""
    return (
        f"a script may use {verbs_per_sec:g} verbs a second; these come quicker and wait: "
        "sleep() in between, use scan(), or raise 'verbs_per_sec' in the rig file"
    )


def output_spent(output_bytes: int, line: int) -> ScriptLimitError:
    """Too much was printed."""
    return ScriptLimitError(
        f"a script may print {output_bytes} bytes; used up at line {line}; "
        "print less, emit() what is data, or raise 'output_bytes' in the rig file",
        limit="output_bytes",
        line=line,
    )


def memory_spent(memory_bytes: int, line: int) -> ScriptLimitError:
    """The kernel refused more memory."""
    return ScriptLimitError(
        f"a script may use {memory_bytes} bytes of memory, the interpreter included; used up at "
        f"line {line}; keep less, or raise 'memory_bytes' in the rig file",
        limit="memory_bytes",
        line=line,
    )


def recursion_spent(depth: int, line: int) -> ScriptLimitError:
    """Functions called each other too deeply."""
    return ScriptLimitError(
        f"a script's functions may call each other {depth} deep; used up at line {line}; "
        "use a loop, or give the recursion an end",
        limit="recursion",
        line=line,
    )
