"""What the recorder asks of the core: checksums as fast as memory, and a disk that begins early."""

from ringdaq_core import crc32, start_writeback

__all__ = ["crc32", "start_writeback"]
