"""What must start fast loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "grpc", "h5py", "pydantic", "pyarrow", "rich", "google.protobuf")

SHELL = "from ringdaq.cli.root import root\nroot([{!r}], standalone_mode=False)"
STARTS = {
    "import ringdaq": "import ringdaq",
    "ringdaq --help": SHELL.format("--help"),
    "ringdaq --version": SHELL.format("--version"),
    "the script child": "import ringdaq.scripts.child",
    "the control wire": "import ringdaq.control",
}
CHECK = "import sys\nprint(*(m for m in {heavy!r} if m in sys.modules), file=sys.stderr)"


@pytest.mark.parametrize("start", STARTS)
def test_starts_without(start: str) -> None:
    code = f"{STARTS[start]}\n{CHECK.format(heavy=HEAVY)}"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.split() == []
