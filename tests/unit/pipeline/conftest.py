"""LSL stays on this machine, and compiled stages in a cache of the tests'."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def session_environment() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="session", autouse=True)
def lsl_on_this_machine_only(
    tmp_path_factory: pytest.TempPathFactory, session_environment: pytest.MonkeyPatch
) -> None:
    """Both LSL libraries read this at their first use, once in a process."""
    path = tmp_path_factory.mktemp("lsl") / "lsl_api.cfg"
    path.write_text(
        "[multicast]\nResolveScope = machine\n[lab]\nKnownPeers = {127.0.0.1}\n[log]\nlevel = -2\n"
    )
    session_environment.setenv("LSLAPICFG", str(path))


@pytest.fixture(scope="session", autouse=True)
def own_cache_of_compiled_stages(
    tmp_path_factory: pytest.TempPathFactory, session_environment: pytest.MonkeyPatch
) -> None:
    session_environment.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
