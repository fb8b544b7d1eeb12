"""A shell to try commands in, and a state directory of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ringdaq.cli.root import root


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RINGDAQ_STATE", str(tmp_path))
    return tmp_path


@pytest.fixture
def shell() -> Callable[..., Result]:
    """Run `ringdaq` with these arguments, in this process."""
    return lambda *arguments: CliRunner().invoke(root, [str(a) for a in arguments])
