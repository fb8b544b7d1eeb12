"""The system call filter, run as the kernel would run it, for both processors."""

from __future__ import annotations

import errno
import resource
from collections.abc import Mapping

import pytest

from ringdaq.scripts import seccomp
from ringdaq.scripts.syscalls import Processor, processor

KILL, ALLOW = 0x80000000, 0x7FFF0000
REFUSE, ABSENT = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
X86, ARM = processor("x86_64"), processor("aarch64")
PROCESSORS = [X86, ARM]


def verdict(
    here: Processor, number: int, arguments: Mapping[int, int] | None = None, audit: int = 0
) -> int:
    """What the filter says to one call: classic BPF, as far as the filter uses it."""
    data = number.to_bytes(4, "little") + (audit or here.audit).to_bytes(4, "little") + bytes(8)
    for index in range(6):
        data += (arguments or {}).get(index, 0).to_bytes(8, "little")
    steps = seccomp.program(here)
    at, value = 0, 0
    while True:
        operation, if_true, if_false, operand = steps[at]
        at += 1
        if operation == 0x06:
            return operand
        if operation == 0x20:
            value = int.from_bytes(data[operand : operand + 4], "little")
        else:
            tests = {0x15: value == operand, 0x35: value >= operand, 0x45: value & operand}
            at += if_true if tests[operation] else if_false


def of_call(here: Processor, call: str, arguments: Mapping[int, int] | None = None) -> int:
    number = here.number(call)
    assert number is not None
    return verdict(here, number, arguments)


@pytest.mark.parametrize("here", PROCESSORS, ids=lambda p: p.name)
def test_each_call_of_the_tables_gets_its_verdict(here: Processor) -> None:
    for call in seccomp.ALLOWED:
        if here.number(call) is not None and call != "prlimit64":
            assert of_call(here, call) == ALLOW, call
    assert {of_call(here, call) for call in seccomp.DEADLY} == {KILL}
    assert of_call(here, "clone3") == ABSENT


@pytest.mark.parametrize("here", PROCESSORS, ids=lambda p: p.name)
def test_every_other_number_is_refused(here: Processor) -> None:
    named = {*seccomp.ALLOWED, *seccomp.DEADLY, *seccomp.ABSENT}
    numbers = {here.number(call) for call in named}
    for number in set(range(1024)) - numbers:
        assert verdict(here, number) == REFUSE


@pytest.mark.parametrize("here", PROCESSORS, ids=lambda p: p.name)
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("mmap", {2: 3}, ALLOW),
        ("mmap", {2: 7}, REFUSE),
        ("mprotect", {2: 4}, REFUSE),
        ("sendto", {4: 0}, ALLOW),
        ("sendto", {4: 1}, REFUSE),
        ("sendto", {4: 1 << 40}, REFUSE),
        ("prlimit64", {0: 0, 1: resource.RLIMIT_AS}, ALLOW),
        ("prlimit64", {0: 0, 1: resource.RLIMIT_NOFILE}, REFUSE),
        ("prlimit64", {0: 1, 1: resource.RLIMIT_AS}, REFUSE),
        ("prlimit64", {0: 1 << 32, 1: resource.RLIMIT_AS}, REFUSE),
    ],
)
def test_arguments_count(
    here: Processor, call: str, arguments: Mapping[int, int], expected: int
) -> None:
    assert of_call(here, call, arguments) == expected


def test_calls_by_another_convention_kill() -> None:
    assert X86 is not None
    assert ARM is not None
    assert verdict(X86, 0, audit=0x40000003) == KILL  # 32-bit calls from 64-bit code
    assert verdict(X86, 0x40000000) == KILL
    assert verdict(ARM, 63, audit=0x40000028) == KILL


def test_no_call_stands_in_two_lists() -> None:
    lists = (seccomp.ALLOWED, seccomp.DEADLY, seccomp.ABSENT)
    assert len({call for names in lists for call in names}) == sum(map(len, lists))


def test_an_unknown_processor_has_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processor("riscv64") is None
    monkeypatch.setattr(seccomp, "processor", lambda: None)
    assert "no table of system calls" in str(seccomp.lacking())
    with pytest.raises(OSError, match="no table of system calls"):
        seccomp.install()
