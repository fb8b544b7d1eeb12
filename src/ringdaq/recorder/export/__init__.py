"""Recordings in other formats, each by its own well-kept library.

It lies in this room because it reads recordings, and needs nothing of a daemon.
"""

from __future__ import annotations

from ringdaq.recorder.export.formats import FORMATS, Exported, export

__all__ = ["FORMATS", "Exported", "export"]
