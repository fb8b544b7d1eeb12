"""Which rounds of a benchmark count, and whom the machine's use is put down to."""

import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from benchmarks.ring_bench import calm, probe
from benchmarks.ring_bench.calm import Calm
from benchmarks.ring_bench.figure import Effort, rounds
from benchmarks.ring_bench.probe import LOOKS, Kind, Probe

SPIN = """
import time
print(flush=True)
while time.process_time() < 0.5:
    pass
print(flush=True)
input()
"""


class Scripted(Calm):
    """Says of each round what it was told."""

    def __init__(self, calm: Iterable[bool]) -> None:
        super().__init__(0.0)
        self._said = iter(calm)

    def take(self, measure: Callable[[], Any], **options: Any) -> tuple[Any, bool]:
        return measure(), next(self._said)


def median_of(values: list[float], calm: list[bool]) -> float:
    found = iter(values)
    effort = Effort(rounds=len(values), calm=Scripted(calm))
    (median,) = rounds(effort, lambda: [next(found)])
    return median


def test_disturbed_rounds_do_not_count() -> None:
    assert median_of([1, 9, 3, 8, 2, 7], [True, False, True, False, True, False]) == 2


def test_all_rounds_count_where_few_were_calm() -> None:
    assert median_of([1, 9, 3, 8, 2, 7], [True] + [False] * 5) == 5


def test_without_patience_nothing_is_asked() -> None:
    quiet = Calm(0.0)
    assert quiet.take(lambda: 7) == (7, True)
    assert (quiet.kept, quiet.disturbed) == (1, 0)


@pytest.mark.parametrize("paused", [False, True])
def test_a_disturbed_round_is_taken_again(monkeypatch: pytest.MonkeyPatch, paused: bool) -> None:
    answers = iter([True, False, False, True, True])
    monkeypatch.setattr(probe, "LOOKS", 0)
    monkeypatch.setattr(Probe, "is_quick", lambda self: next(answers))
    monkeypatch.setattr(calm, "MOST", float("inf"))
    found = iter([1, 2])
    patient = Calm(60.0)
    assert patient.take(lambda: next(found), paused=paused) == (2, True)
    assert (patient.kept, patient.disturbed) == (1, 0)


def test_when_patience_is_gone_a_disturbed_round_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LOOKS", 0)
    monkeypatch.setattr(Probe, "is_quick", lambda self: False)
    hasty = Calm(1e-9)
    assert hasty.take(lambda: 7) == (7, False)
    assert (hasty.kept, hasty.disturbed) == (1, 1)


def test_a_probe_goes_by_what_one_in_twenty_takes() -> None:
    taken = iter([1.0] + [10.0] * (LOOKS - 1) + [12.0, 16.0])
    work = Probe(Kind(lambda: next(taken), 1.5, "work"))
    assert work.is_quick()
    assert not work.is_quick()


def test_what_children_use_is_not_put_down_to_others() -> None:
    command = [sys.executable, "-c", SPIN]
    before = calm._children_secs()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.readline()
        used = calm._children_secs()
        child.communicate(b"\n")
    assert used - before >= 0.4
    # Children of other tests, if there are any, go on.
    assert used - calm._children_secs() >= 0.2
