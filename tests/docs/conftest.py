"""One running daemon with the demo's rig, for all pages that connect to one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pages import ROOT


@pytest.fixture(scope="session")
def demo_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state directory of a daemon that serves `examples/rigs/demo.toml` on a free port."""
    from ringdaq.testing.daemon import TemporaryDaemon

    directory = tmp_path_factory.mktemp("daemon")
    text = (ROOT / "examples/rigs/demo.toml").read_text()
    changed = text.replace(
        "[daemon]\n",
        f'[daemon]\ngrpc_port = 0\nring_directory = "{directory}/rings"\n'
        f'data_directory = "{directory}/data"\n',
    )
    rig = directory / "rig.toml"
    rig.write_text(changed)
    with TemporaryDaemon(rig, directory) as daemon:
        yield daemon.state
