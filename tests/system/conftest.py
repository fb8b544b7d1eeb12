"""The soak's counts, at the end of everything."""

from soak_plan import counts


def pytest_terminal_summary(terminalreporter):
    """Print what the soak counted."""
    if not counts:
        return
    width = max(map(len, counts))
    terminalreporter.section("what the soak counted")
    for what, number in counts.items():
        terminalreporter.write_line(f"{what:{width}}  {number:>16,}")
