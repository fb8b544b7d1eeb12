"""How samples travel here: rings of Arrow record batches in shared memory."""

from ringdaq.streams.appender import Appender
from ringdaq.streams.directory import RingDirectory
from ringdaq.streams.following import FollowerStatistics, Following
from ringdaq.streams.loan import Loan
from ringdaq.streams.reader import StreamReader
from ringdaq.streams.record import Record, decode
from ringdaq.streams.sizes import file_bytes, record_bytes
from ringdaq.streams.statistics import RingStatistics
from ringdaq.streams.stream import Stream, attach
from ringdaq.streams.window import Gap, Window
from ringdaq.streams.writer import StreamWriter

__all__ = [
    "Appender",
    "FollowerStatistics",
    "Following",
    "Gap",
    "Loan",
    "Record",
    "RingDirectory",
    "RingStatistics",
    "Stream",
    "StreamReader",
    "StreamWriter",
    "Window",
    "attach",
    "decode",
    "file_bytes",
    "record_bytes",
]
