"""`python -m ringdaq.recorder.catalogue DIRECTORY`: make the catalogue anew; prints what was read.

A process of its own: reading many files must not keep a daemon from its instruments.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ringdaq.errors import RingdaqError
from ringdaq.recorder.catalogue.store import Catalogue


def main(directory: str) -> int:
    """Make it anew; the exit code is 1 where that was not possible."""
    try:
        catalogue = Catalogue(Path(directory))
        report = catalogue.reindex()
    except RingdaqError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(json.dumps(report))
    catalogue.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
