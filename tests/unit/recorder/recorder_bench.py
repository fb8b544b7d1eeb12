"""The helpers of this folder's `conftest.py`, for tests that need more than its fixture."""

from __future__ import annotations

import importlib.util
from pathlib import Path

# By its path: several folders have a conftest, and whichever was loaded first has the name.
_spec = importlib.util.spec_from_file_location(
    "recorder_conftest", Path(__file__).with_name("conftest.py")
)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

Bench, PRODUCE, SPECS = _module.Bench, _module.PRODUCE, _module.SPECS
START, STEP = _module.START, _module.STEP
