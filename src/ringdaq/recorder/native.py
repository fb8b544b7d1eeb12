"""What the recorder asks of the core: quick checksums, a disk that begins early, a light sleep."""

from ringdaq_core import Sleeper, Watch, append_durably, crc32, seal_entry, start_writeback

__all__ = ["append_durably", "Sleeper", "Watch", "crc32", "seal_entry", "start_writeback"]
