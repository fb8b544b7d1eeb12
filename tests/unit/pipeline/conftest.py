"""LSL stays on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def lsl_on_this_machine_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Both LSL libraries read this at their first use, once in a process."""
    path = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    path.write_text("[multicast]\nResolveScope = machine\n[log]\nlevel = -2\n")
    before = os.environ.get("LSLAPICFG")
    os.environ["LSLAPICFG"] = str(path)
    yield
    if before is None:
        del os.environ["LSLAPICFG"]
    else:
        os.environ["LSLAPICFG"] = before
