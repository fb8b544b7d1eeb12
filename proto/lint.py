"""Check the gRPC contract with buf: its style, its format, and that nothing old breaks.

What was promised lies in `baseline.binpb`; `--accept` promises the contract as it is now.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

PROTO = Path(__file__).resolve().parent
BASELINE = PROTO / "baseline.binpb"


def buf(*arguments: str) -> int:
    """Run buf in the contract's directory; its findings go to the terminal."""
    program = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")
    if program is None:
        raise SystemExit("the contract's lint needs buf, which was not found; run 'make setup'")
    return subprocess.run([program, *arguments], cwd=PROTO, check=False).returncode


def accept() -> int:
    """Make the contract as it is now the promise that later ones are held to."""
    return buf("build", "--exclude-source-info", "-o", BASELINE.name)


def check() -> int:
    """Return 0 if the contract is in style and keeps its promise."""
    codes = [
        buf("lint"),
        buf("format", "--diff", "--exit-code"),
        buf("breaking", "--against", BASELINE.name),
    ]
    return int(any(codes))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept", action="store_true", help="make the contract the new baseline")
    return accept() if parser.parse_args().accept else check()


if __name__ == "__main__":
    raise SystemExit(main())
