"""A copy of this Python and of what the probes need, where an ordinary user can read it.

Interpreter and checkout often lie in a folder that is closed to others, such as root's home;
nothing there is opened.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

NEEDED = "ringdaq.scripts.process, ringdaq.scripts.child, ringdaq.streams, ringdaq_core, numpy"
BESIDE = shutil.ignore_patterns(
    "site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3",
    "*.a", "turtledemo", "config-*",
)  # fmt: skip
OPEN = 0o755
ORDINARY_USER = 54321


@dataclass(frozen=True)
class OpenPython:
    """An interpreter that anybody can run."""

    executable: Path
    folder: Path
    """Where the packages and the probes lie."""

    @property
    def environment(self) -> dict[str, str]:
        """What the interpreter must be started with."""
        return {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}


def make(directory: Path) -> OpenPython:
    """Fill the directory."""
    directory.chmod(OPEN)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = directory / "home"
    executable = home / "bin" / version
    executable.parent.mkdir(parents=True)
    shutil.copy2(os.path.realpath(sys.executable), executable)
    _tree(Path(sysconfig.get_path("stdlib")), home / "lib" / version)
    for library in Path(sysconfig.get_config_var("LIBDIR") or "/nowhere").glob("libpython*.so*"):
        shutil.copy2(library, home / "lib")
    site = directory / "site"
    site.mkdir()
    for package in _packages():
        _tree(package, site / package.name) if package.is_dir() else shutil.copy2(package, site)
    for helper in Path(__file__).parent.glob("escape_*.py"):
        shutil.copy2(helper, site)
    _open(directory)
    return OpenPython(executable, site)


def _tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, ignore=BESIDE, copy_function=_link)


def _link(source: str, target: str) -> None:
    """A second name where that is possible: nothing is copied then."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        shutil.copy2(source, target)


def _open(directory: Path) -> None:
    for folder, _, _ in os.walk(directory):
        os.chmod(folder, OPEN)


def _packages() -> list[Path]:
    """What the probes import from outside the standard library, and the libraries beside it."""
    code = (
        f"import json, sys, {NEEDED}\n"
        "files = [getattr(m, '__file__', 0) for n, m in sys.modules.items() if '.' not in n]\n"
        "print(json.dumps([file for file in files if file]))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, check=True)
    stdlib = os.path.realpath(sysconfig.get_path("stdlib"))
    found = []
    for file in json.loads(done.stdout):
        path = Path(file)
        if "site-packages" not in path.parts and os.path.realpath(path).startswith(stdlib):
            continue
        found.append(path.parent if path.stem == "__init__" else path)
    libraries = [p.parent / f"{p.name}.libs" for p in found if p.is_dir()]
    return [*dict.fromkeys(found), *(p for p in libraries if p.exists())]


def works(python: OpenPython) -> bool:
    """Whether an ordinary user can run it."""
    command = [python.executable, "-c", f"import {NEEDED}"]
    try:
        done = subprocess.run(
            command,
            user=ORDINARY_USER,
            capture_output=True,
            env=python.environment,
            cwd="/",
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0
