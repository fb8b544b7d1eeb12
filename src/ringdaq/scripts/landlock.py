"""Close the file system, TCP and signals by landlock, as far as this kernel can.

Everything that the kernel's version of landlock knows is denied, and nothing is allowed again:
a script needs no path once its modules are imported.
"""

from __future__ import annotations

import ctypes
import os

_SYS_CREATE_RULESET, _SYS_RESTRICT_SELF = 444, 446
_ASK_VERSION = 1

_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15, 9: 1 << 16}
"""Rights on files by the version they came with: all, links across directories, truncation,
device controls, Unix sockets by path."""
_NETWORK = {4: 0b11}
"""Binding and connecting TCP."""
_SCOPES = {6: 0b11}
"""Abstract Unix sockets and signals outside the process."""

_SINCE = {1: "files", 3: "truncation", 4: "TCP", 5: "devices", 6: "signals", 9: "Unix sockets"}


class _Ruleset(ctypes.Structure):
    """`struct landlock_ruleset_attr`; an older kernel takes it while the parts it lacks are 0."""

    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


def abi() -> int:
    """The version this kernel offers; 0 where it has none, or has it switched off."""
    return max(0, int(_libc().syscall(_SYS_CREATE_RULESET, None, 0, _ASK_VERSION)))


def covers(version: int) -> str:
    """What a version of landlock closes, and what it leaves to the filter, in words."""
    closed = [word for first, word in _SINCE.items() if version >= first]
    left = [word for first, word in _SINCE.items() if version < first]
    return ", ".join(closed) + (f"; not {', '.join(left)}" if left else "")


def restrict(version: int) -> None:
    """Give it all up, for ever; needs `no_new_privs`. Raises `OSError` where that is refused."""
    rules = _Ruleset(_known(_FILES, version), _known(_NETWORK, version), _known(_SCOPES, version))
    ruleset = _call(_SYS_CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    try:
        _call(_SYS_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _known(rights: dict[int, int], version: int) -> int:
    return sum(bits for first, bits in rights.items() if first <= version)


def _call(number: int, *arguments: object) -> int:
    libc = _libc()
    result: int = libc.syscall(number, *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"landlock was refused: {os.strerror(error)}")
    return result


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
