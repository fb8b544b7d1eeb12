"""Script processes for tests, and the soak's counts at the end of everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from process_stand import PATIENCE_SECS, Runner
from soak_plan import counts


@pytest.fixture
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    for process in runner.started:
        process.kill()
        assert process.wait(PATIENCE_SECS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the soak counted."""
    if not counts:
        return
    width = max(map(len, counts))
    terminalreporter.section("what the soak counted")
    for what, number in counts.items():
        terminalreporter.write_line(f"{what:{width}}  {number:>16,}")
