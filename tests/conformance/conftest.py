"""Fixtures of the scenarios that run in every language of scripts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from script_stand import PATIENCE_SECS, Runner

from ringdaq.scripts import LANGUAGES, Language


@pytest.fixture(params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    found: Language = request.param
    return found


@pytest.fixture
def runner(language: Language) -> Iterator[Runner]:
    runner = Runner(language)
    yield runner
    process = runner.bench.process
    if process is not None:
        process.kill()
        assert process.wait(PATIENCE_SECS)
