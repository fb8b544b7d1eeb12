"""Writes a package with a stage in it, for `ringdaq pipeline new-plugin`."""

from __future__ import annotations

import re
from pathlib import Path

from ringdaq.errors import ConfigError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "ringdaq-{dashed}"
version = "0.1.0"
description = "A stage for ringdaq's pipelines"
requires-python = ">=3.11"
dependencies = ["ringdaq", "numpy"]

[project.entry-points."ringdaq.stages"]
{name} = "ringdaq_{name}:{cls}"

[tool.hatch.build.targets.wheel]
packages = ["src/ringdaq_{name}"]
"""

STAGE = '''\
"""The stage `{name}`."""

from __future__ import annotations

from ringdaq.pipeline import EegDataViewMut


class {cls}:
    """Multiplies all samples by a gain; its parameters are the arguments of `__init__`."""

    name = "{name}"
    description = "Multiplies all samples by a gain."

    def __init__(self, gain: float = 2.0) -> None:
        self.gain = gain

    def process_inplace(self, view: EegDataViewMut) -> None:
        """Change a packet where it lies: `view.data` is an array [samples, channels]."""
        view.data[...] *= self.gain
'''

TEST = '''\
"""The stage `{name}` does what it says."""

import numpy as np
from ringdaq.testing.stage import run_stage

from ringdaq_{name} import {cls}


def test_all_samples_are_multiplied() -> None:
    block = np.arange(32, dtype=np.float32).reshape(8, 4)
    assert np.array_equal(run_stage({cls}(gain=3.0), block), 3 * block)
'''

PIPELINE = """\
version = 1
name = "{name}"
description = "Tries the stage out; needs a stream called eeg."

[[stage]]
type = "ring_source"
stream = "eeg"

[[stage]]
type = "{name}"
gain = 3.0

[[stage]]
type = "ring_sink"
"""

README = """\
# ringdaq-{dashed}

A stage for ringdaq's pipelines.

```console
$ pip install -e .
$ pytest
$ ringdaq pipeline check pipeline.toml
```
"""


def write_template(name: str, directory: Path) -> Path:
    """Write the package `ringdaq-NAME` into a new folder; returns the folder."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a plugin's name is 1 to 40 small letters, digits and '_', a letter first; "
            f"found {name!r}"
        )
    dashed = name.replace("_", "-")
    folder = directory / f"ringdaq-{dashed}"
    if folder.exists():
        raise ConfigError(f"there is something already; take another name or place: {folder}")
    words = {"name": name, "dashed": dashed, "cls": _class_name(name)}
    files = {
        "pyproject.toml": PYPROJECT,
        "README.md": README,
        "pipeline.toml": PIPELINE,
        f"src/ringdaq_{name}/__init__.py": STAGE,
        f"tests/test_{name}.py": TEST,
    }
    for place, text in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(**words))
    return folder


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_") if part)
