"""The index of all recordings of a data directory: found by what they are, made from the files.

It lies here because only this room knows what a recording looks like; whoever reads it needs no
HDF5.
"""

from __future__ import annotations

from ringdaq.recorder.catalogue.store import Catalogue, RecordedSpan

__all__ = ["Catalogue", "RecordedSpan"]
