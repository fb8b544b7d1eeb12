"""How samples travel here: rings of Arrow record batches in shared memory."""

from ringdaq.streams.appender import Appender
from ringdaq.streams.directory import RingDirectory
from ringdaq.streams.loan import Loan
from ringdaq.streams.reader import StreamReader
from ringdaq.streams.record import Record, decode
from ringdaq.streams.statistics import RingStatistics
from ringdaq.streams.stream import Stream, attach
from ringdaq.streams.window import Window
from ringdaq.streams.writer import StreamWriter

__all__ = [
    "Appender",
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
]
