"""How the datasets of a file are cut into chunks and packed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ringdaq.errors import MissingExtraError

GZIP_LEVEL = 4


@dataclass(frozen=True, slots=True)
class Storage:
    """What `[recording]` of the rig file says of it."""

    compression: str = "none"
    chunk_bytes: int | None = None
    """Of blocks and images; `None` is the default size."""

    @classmethod
    def of(cls, description: Mapping[str, Any]) -> Storage:
        """The storage that a recording's description asks for."""
        asked = description.get("storage") or {}
        return cls(asked.get("compression") or "none", asked.get("chunk_bytes"))

    @property
    def space_strategy(self) -> str | None:
        """Packed chunks change their size and move; what they leave must not be used again.

        Before the next commit, readers still find it by the old tree.
        """
        return None if self.compression == "none" else "none"

    @property
    def chunk_cache_bytes(self) -> int | None:
        """What HDF5 may hold of each dataset; `None` is its own choice, for chunks that are packed.

        Plain rows go past it: a chunk held for each column makes megabytes of a short run's file.
        """
        return 0 if self.compression == "none" else None

    def filters(self) -> dict[str, Any]:
        """What `create_dataset` needs; raises `MissingExtraError`."""
        if self.compression == "none":
            return {}
        if self.compression == "gzip":
            return {"compression": "gzip", "compression_opts": GZIP_LEVEL, "shuffle": True}
        try:
            import hdf5plugin
        except ImportError as error:
            raise MissingExtraError(
                f"files packed with {self.compression} need hdf5plugin; "
                "install it with: pip install 'ringdaq[compress]'",
                extra="compress",
            ) from error
        made = hdf5plugin.Blosc2() if self.compression == "blosc2" else hdf5plugin.Zstd()
        return dict(made)
