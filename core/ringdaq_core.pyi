"""The Rust core of ringdaq: rings, Arrow messages in them, Rhai scripts and pipelines.

Only `ringdaq.streams`, `ringdaq.pipeline`, `ringdaq.scripts.rhai` and `ringdaq.recorder.native`
use it. Functions of rings hold the interpreter for less than 20 µs; waits and copies above 64 KiB
let it go. A sequence number, a time (int64 nanoseconds since the epoch) and a count of bytes are
plain ints.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Concatenate, Self, final

from typing_extensions import Buffer, CapsuleType, disjoint_base

__all__ = [
    "HEADER_SIZE",
    "LAYOUT_VERSION",
    "CoreError",
    "CorruptError",
    "OverrunError",
    "NotYetWrittenError",
    "EndOfStreamError",
    "WriterGoneError",
    "NoSpaceError",
    "InvalidError",
    "ClosedError",
    "RhaiSyntaxError",
    "Appender",
    "Loan",
    "Located",
    "Schema",
    "RingWriter",
    "Rows",
    "RingReader",
    "Viewer",
    "Walk",
    "Watch",
    "append_durably",
    "crc32",
    "fold_rows",
    "seal_entry",
    "is_owned",
    "start_writeback",
    "run_rhai",
    "rhai_facts",
    "Pool",
    "Packet",
    "Chain",
    "Copied",
    "Pipeline",
    "instruction_sets",
    "needed_capacity",
    "stage_kinds",
    "Sleeper",
    "receive_soon",
]

LAYOUT_VERSION: int
"""Of the rings that this core writes and reads."""
HEADER_SIZE: int
"""Bytes before the data of a ring."""

def is_owned(path: str | os.PathLike[str]) -> bool:
    """Whether a living process holds a ring's owner lock, damaged or not; False without a file."""

def crc32(data: Buffer, begun: int = 0) -> int:
    """The CRC-32 of zlib over contiguous bytes, begun with that of the bytes before."""

def seal_entry(head: Buffer, parts: Sequence[Buffer], begun: int) -> bytes:
    """Head, CRC-32 of all else, the parts, and zeros up to a multiple of 8, as one piece.

    The checksum begins with `begun`, and is four bytes, little-endian.
    """

def fold_rows(values: Buffer, dtype: str, width: int, bin_rows: int) -> tuple[bytes, bytes]:
    """The least and the greatest of every `bin_rows` rows of a contiguous array [rows, width].

    Both are [bins, width], of the same type, a numpy name such as `float32`. NaN counts as missing;
    where a bin has nothing else, it is the answer. Other threads run meanwhile.
    """

def append_durably(fd: int, data: Buffer, spare: int) -> tuple[bool, int]:
    """Write bytes at a file's place and return when they are on the medium.

    Nothing is written to a file without a name, or where fewer than `spare` bytes would stay free.
    Returns whether it had one and the bytes that were free; raises `OSError`.
    """

def start_writeback(fd: int) -> None:
    """Let the kernel begin to write a file's dirty pages; waits for none of them."""

def receive_soon(fd: int, patience_nanos: int) -> bytes | None:
    """The bytes that come to a socket within so long, without going to sleep.

    None of them at the socket's end, `None` where nothing came. Other threads run meanwhile.
    """

class CoreError(Exception):
    """Root of the core's errors; failures of the system are `OSError`."""

class CorruptError(CoreError):
    """A header, an index entry, a record or a message fails its check."""

class OverrunError(CoreError):
    """args: text, lost records, lost rows or None, oldest sequence number left."""

class NotYetWrittenError(CoreError):
    """The record lies in the future."""

class EndOfStreamError(CoreError):
    """The writer closed the ring, and everything was read."""

class WriterGoneError(CoreError):
    """The writer died, and everything was read."""

class NoSpaceError(CoreError):
    """args: text, bytes needed, bytes there."""

class InvalidError(CoreError):
    """A value, a shape or a path makes no sense."""

class ClosedError(CoreError):
    """This side has closed the ring, or is a fork of the process that made it."""

class RhaiSyntaxError(Exception):
    """args: text, line, column; the places are 0 where unknown."""

def run_rhai(
    source: str,
    *,
    parameters: Mapping[str, object],
    instruments: Mapping[str, tuple[Sequence[str], object]],
    plans: Sequence[str],
    operations: int,
    total_operations: int,
    depth: int,
    words: Buffer,
    host: object,
) -> tuple[str, object, int, int, list[tuple[int, str]]] | None:
    """Run a Rhai script in this thread; None if it came to its end.

    Otherwise: `host` with the host's exception, `limit` with the name of a limit that the engine
    keeps, or `script` with what the script said; then line, column, and the calls that led there
    as line and function.

    `words` are 16 shared bytes as u32: line, stop, and the progress as an f64.
    `host` has `verb(instrument, verb, args, named)`; a method for each of `sleep`, `emit`, `print`,
    `log`, `progress`; `plan(name, args, named, start, span)`; and `look()`, `operations_spent()`,
    `total_operations_spent()`, `memory_spent()`, `shield()`, `unshield()`. Where memory is so short
    that not even the reserve up to the hard limit helps, `memory_gone()` must end the process. What
    it raises can be caught by the script if it is an `Exception`.
    """

def rhai_facts(source: str) -> tuple[list[tuple[str, str, str, int, int]], list[str]]:
    """What a Rhai script speaks of, in its order: kind, name, member, line, column.

    Kinds are `name` (read, not made by the script), `verb` (`name.member(…)`), `member` (without a
    call), `write` (assigned to), `call` (no such function), `column` (`emit` names it). Then come
    the functions that every script has. Raises `RhaiSyntaxError`.
    """

@final
class Schema:
    """The columns of a ring's records."""

    def __new__(
        cls,
        columns: Sequence[tuple[str, str, int, bool, dict[str, str]]],
        metadata: dict[str, str],
    ) -> Self:
        """Columns are (name, type, items, nullable, metadata).

        The type is `time`, `bool`, `string` or a numpy name such as `float32`; `items` is 0 for a
        single value, and the length of a fixed-size list otherwise.
        """

    @staticmethod
    def from_message(message: bytes) -> Schema:
        """Read an encapsulated Arrow schema message."""

    @property
    def message(self) -> bytes:
        """The encapsulated Arrow schema message."""

    @property
    def metadata(self) -> dict[str, str]: ...
    @property
    def columns(self) -> list[tuple[str, str, int, bool, dict[str, str]]]: ...
    @property
    def smallest_record(self) -> int:
        """Bytes that a record of one row takes, texts empty, its frame included."""

    def parse(
        self, payload: Buffer, head: bytes | None = None
    ) -> tuple[int, list[tuple[int, int, int, int, int, int, int]]]:
        """Find the columns of a record-batch message, every place checked.

        A payload that may change meanwhile needs a copy of its head, which `locate` gives.

        Returns the rows, and for each column: missing values, then offset and length in the payload
        of its validity bits (length 0 if none is missing), of its text offsets and of its data.
        """

    def export_schema(self) -> CapsuleType:
        """The schema as an `arrow_schema` capsule."""

    def export_array(
        self, payload: Buffer, head: bytes | None = None
    ) -> tuple[CapsuleType, CapsuleType]:
        """A record as `arrow_schema` and `arrow_array` capsules; its numbers are not copied."""

    def export_stream(self, records: Sequence[tuple[Buffer, bytes | None]]) -> CapsuleType:
        """Payloads and heads as an `arrow_array_stream` capsule; their numbers are not copied."""

@final
class RingWriter:
    """The owner of a ring; threads may share it."""

    @staticmethod
    def create(
        path: str | os.PathLike[str],
        schema: Schema,
        capacity_bytes: int,
        period_nanos: int = 0,
        period_rows: int = 0,
        origin: tuple[int, int, int] | None = None,
    ) -> RingWriter:
        """Make a ring where nothing is yet, and its `.wake` file beside it.

        The period, so many nanoseconds in so many rows, is what `write_block` counts time by.
        The origin is for tests: sequence number, byte offset and row that counting begins at, each
        at most 2**63.
        """

    @property
    def path(self) -> os.PathLike[str]: ...
    @property
    def generation(self) -> str:
        """The file's random id, in hex."""

    @property
    def closed(self) -> bool:
        """Whether this side has closed the ring; to a fork of it, it always is."""

    def rows(self, translate: Callable[[Exception], Exception]) -> Rows:
        """What writes rows as records; `translate` makes its errors those of the user."""

    def write(
        self,
        rows: int,
        first_nanos: int,
        last_nanos: int,
        columns: list[tuple[Buffer | list[str | None], Buffer | None]],
    ) -> int:
        """Write one record; returns its sequence number.

        A column is its values, contiguous and of the column's type (bools a byte each, texts as a
        list), and a byte a row that is 1 where the value is missing, or None.
        """

    def write_block(self, first_nanos: int, block: object) -> int | None:
        """Write samples [rows, channels] as one record; returns its sequence number.

        Nothing is written, and None returned, if the block is not an array of exactly the column's
        type, or if the ring has no period.
        """

    def appender(
        self,
        rows: int,
        deadline_nanos: int,
        anchor_nanos: int,
        translate: Callable[[Exception], Exception],
    ) -> Appender:
        """Let rows wait for each other: for so many, or for the deadline.

        A row's time is the monotonic clock plus the anchor. `translate` makes the exceptions that
        `append` raises.
        """

    def flush(self) -> None:
        """Commit the rows that wait."""

    def loan(self, rows: int) -> Loan:
        """Room for the next record; nothing else is written until it is committed or given back."""

    def close(self) -> None:
        """Tell readers that nothing will follow, and unmap the ring."""

@final
class Appender:
    """Appends rows, stamped by the core; several become one record."""

    @property
    def append(self) -> Callable[..., None]:
        """What takes a row of values; None is a missing value."""

    def flush(self) -> None:
        """Commit the rows that wait."""

@final
class Rows:
    """Writes rows, each as a record of its own."""

    @property
    def append(self) -> Callable[Concatenate[int, ...], int]:
        """What takes a row, its time first; returns the record's sequence number.

        None is a missing value.
        """

@final
class Loan:
    """Room for a record; a writable buffer of its frame or block until it is committed."""

    def commit(self, first_nanos: int, last_nanos: int, values: tuple[object, ...]) -> int:
        """Publish it; returns its sequence number. The values are those of the other columns."""

    def give_back(self) -> None:
        """Forget it, unless it was committed."""

@disjoint_base
class Copied:
    """What was copied of a record; made empty or full, and filled once. Empty it raises."""

    def __new__(
        cls,
        owner: object,
        sequence: int = 0,
        frame: tuple[int, int, int, int] | None = None,
        payload: object = None,
    ) -> Self: ...
    @property
    def owner(self) -> Any:
        """What was given as such."""

    @property
    def sequence(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def first_nanos(self) -> int: ...
    @property
    def last_nanos(self) -> int: ...
    @property
    def first_row(self) -> int:
        """Rows before the record."""

    @property
    def payload(self) -> Any: ...

@disjoint_base
class Located:
    """A record in the mapping, the newest one if none is named.

    The message's head in the mapping may change under whoever follows its offsets, and must not be
    used: `head` copies it. Leaving it as a context calls `lapped` if the record is gone.
    """

    def __new__(cls, reader: RingReader, sequence: int | None, owner: object) -> Self: ...
    @property
    def owner(self) -> Any:
        """What was given as such."""

    @property
    def sequence(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def first_nanos(self) -> int: ...
    @property
    def last_nanos(self) -> int: ...
    @property
    def first_row(self) -> int:
        """Rows before the record."""

    @property
    def intact(self) -> bool:
        """Whether the record is still there, so that what was seen of it was whole."""

    def head(self) -> bytes:
        """A verified copy of the head of the record's message."""

    def arrays(
        self,
        frombuffer: Callable[[Any, Any, int, int], Any],
        types: Sequence[tuple[str, object | None]],
    ) -> dict[str, Any] | None:
        """Make an array of each column, by `numpy.frombuffer` and the type of one row's value.

        `None` if there is no type for one of the columns. The record is a read-only buffer, its
        payload, which is what the arrays are made of.
        """

    def buffers(self) -> list[tuple[int, int, int, int, int, int, int]]:
        """Find the columns, as `Schema.parse` does, by a copy of the message's head."""

    def to_arrow(self) -> Any:
        """The rows as pyarrow has them; numbers are not copied.

        `owner.layout` must have `arrow_importer`, which is called with the address of the record as
        an Arrow array and `arrow_schema`, and moves the array away, as the Arrow C data interface
        has it. What the core raises is raised as `in_words` has it.
        """

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, error: object, traceback: object, /) -> None: ...

@final
class RingReader:
    """A reader of one ring, with a mapping of its own; threads may share it."""

    @staticmethod
    def open(path: str | os.PathLike[str]) -> RingReader:
        """Map a ring read-only and check its header, sizes and schema."""

    @property
    def path(self) -> os.PathLike[str]: ...
    @property
    def generation(self) -> str: ...
    @property
    def schema(self) -> bytes:
        """The encapsulated Arrow schema message."""

    @property
    def oldest_sequence(self) -> int: ...
    @property
    def writer_alive(self) -> bool:
        """Whether a living process holds the ring and has not closed it."""

    def mapping(self) -> memoryview:
        """The bytes of the ring's file, read-only, mapped while anything refers to them."""

    def read(self, sequence: int) -> tuple[tuple[int, int, int, int], bytes]:
        """Copy a record, verified: (rows, first time, last time, rows before it), payload."""

    def gather(
        self, sequence: int, end: int, columns: Sequence[int], max_bytes: int
    ) -> tuple[bytes, list[tuple[memoryview, memoryview | None]]]:
        """Copy records that follow each other, verified, their columns of numbers joined.

        Ends before `end` once `max_bytes` are read, or before a record that is gone or damaged
        unless it is the first. Returns the records' frames, as `read` has them, four native int64
        each, and each column's values with a byte a row that is 1 where one is missing, or None;
        these views own what they show.
        """

    def copy_many(self, sequence: int, end: int, max_bytes: int) -> tuple[bytes, int, int, bytes]:
        """Copy records that follow each other, verified, as they are.

        Ends before `end` once `max_bytes` are reached, or before a record that is gone or damaged
        unless it is the first. Returns four native int64 for each record (rows, first time, last
        time, length of its payload), the rows before the first record, the rows of all, and the
        payloads one behind the other.
        """

    def frame(self, sequence: int) -> tuple[int, int, int, int]:
        """Of a record: as in `read`."""

    def intact(self, sequence: int) -> bool:
        """Whether a record is still there, so that what was seen of it was whole."""

    def verify(self, sequence: int) -> None:
        """Raise `OverrunError` if the record may have been overwritten by now."""

    def find(self, time_nanos: int) -> int:
        """The first record whose last time is that late; the next one if there is none yet."""

    def wait(self, sequence: int, timeout_secs: float) -> bool:
        """Sleep until the record is there or the writer has ended; False after the timeout.

        Notices a writer's death within 250 ms. Lets signal handlers run.
        """

    def close(self) -> None:
        """Let no walk go on; whoever walks gets a `ClosedError`."""

    def checked_next_sequence(self) -> int:
        """The number of the record that comes next, from counters that are consistent."""

    def statistics(
        self,
    ) -> tuple[int, int, int, int, int, int | None, int | None, bool, bool, int]:
        """Next, oldest, rows, rows left, bytes, first and last time, closed, alive, capacity."""

@disjoint_base
class Walk:
    """Gives one record after the other, by `next`; made for a subclass.

    A record is what `make` makes of the layout, a `Copied`. Whatever else happens while it is
    waited for is given to `otherwise`: the error that was raised, or None at the end of patience.
    It returns whether to go on, or raises. One thread at a time may ask for a record.
    """

    def __new__(
        cls,
        make: Callable[[Any], Copied],
        patience_secs: float,
        reader: RingReader,
        layout: object,
        sequence: int,
    ) -> Self: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    @property
    def sequence(self) -> int:
        """Of the record that comes next."""

    @property
    def row(self) -> int | None:
        """Rows before it, where they are known."""

    @property
    def records(self) -> int:
        """Given so far, in all rings."""

    @property
    def rows(self) -> int:
        """Of these records."""

    @property
    def last_nanos(self) -> int | None:
        """Time of the last row that was given."""

    def skip_to(self, sequence: int, row: int | None) -> None:
        """Go on at another record of the ring, with so many rows before it."""

    def turn_to(self, reader: RingReader, layout: object) -> None:
        """Go on at the beginning of another ring."""

    def note(self, record: Copied) -> None:
        """Take the record that comes next for given."""

@disjoint_base
class Viewer:
    """Looks at a ring again and again; made for a subclass.

    What is seen is what `make` makes of the reader, a sequence number or `None`, and this object.
    Errors are raised as `in_words` has them, which is called with the error and the sequence
    number. Windows are what `view_window` returns.
    """

    def __new__(cls, reader: RingReader, make: Callable[..., Any]) -> Self: ...
    @property
    def next_sequence(self) -> int:
        """Sequence number of the record that will be committed next; one look at the ring.

        A file that was cut is found in the first look of each tick of the coarse clock, which is
        some milliseconds; so it is by `view` without a sequence number.
        """

    def view(
        self,
        sequence: int | None = None,
        *,
        window_secs: float | None = None,
        since: object = None,
        until: object = None,
    ) -> Any:
        """Look at a record, or a window as in `window`, where it lies, without a copy.

        Without a sequence number it is the newest record. Leaving the context raises `OverrunError`
        if the writer came by meanwhile: then what was seen may be mixed, and is to be thrown away.
        """

@final
class Watch:
    """Tells a loop of events that a record is there.

    One thread of the process sleeps for all watches. Raises `OSError` where the kernel cannot sleep
    on several rings at once (before Linux 5.16).
    """

    def __new__(cls, reader: RingReader) -> Self: ...
    def fileno(self) -> int:
        """A descriptor that becomes readable; it belongs to the watch."""

    def arm(self, sequence: int) -> bool:
        """Ask to be told once; True if there is already something to find out about the record.

        Told is also that the writer has ended or died, within 250 ms.
        """

    def disarm(self) -> None:
        """Ask no longer, and forget what was told."""

@final
class Sleeper:
    """Lets one thread sleep for up to `MOST_RINGS` rings by itself, and others wake it."""

    MOST_RINGS: ClassVar[int]
    def __new__(cls) -> Self: ...
    def wakes(self) -> int:
        """How often it was woken, for `sleep`."""

    def wake(self) -> None:
        """Let the sleeper wake up, or not fall asleep."""

    def sleep(self, wakes: int, watches: Sequence[tuple[Watch, int]], timeout_secs: float) -> bool:
        """Sleep until one of the records is there, or until it was woken more often than `wakes`.

        Returns whether it was either; may return early, and does within 250 ms. Raises `OSError`
        where the kernel cannot sleep on several rings at once.
        """

def instruction_sets() -> list[str]:
    """Names of what kernels can run on here, the best first: `avx512`, `avx2`, `neon`, `plain`."""

def needed_capacity(latency_secs: float, samples: int, rate: tuple[int, int]) -> int:
    """Packets that an edge must hold before a stage that may take so long for one."""

def stage_kinds() -> list[tuple[str, list[str]]]:
    """The core's kinds of stages with their parameters; those with `=` may be left out.

    Beside them there are `native` (`address` of a C function, `parameters`, `state`, `in_place`,
    `keep`) and `python` (`call`, `in_place`).
    """

@final
class Pool:
    """Lends packets of 32-bit numbers; makes all of them at once, and none later."""

    def __new__(cls, channels: int = 32, samples: int = 400, packets: int = 8) -> Self: ...
    def try_acquire(self) -> Packet | None: ...
    def acquire(self, timeout_secs: float) -> Packet | None:
        """Wait for a packet to come back; None after the timeout."""

    def statistics(self) -> tuple[int, int, int, int, int]:
        """Packets, lent now, the most lent at once, lent ever, times that none was free."""

@final
class Packet:
    """Samples `[sample][channel]` in a pool's memory; NumPy sees them without a copy.

    Its buffer is float32, or int32 where its kind is `raw`; writable until it is frozen. It goes
    back to its pool with its last owner and its last view.
    """

    @property
    def header(self) -> tuple[str, int, int, int, int, tuple[int, int], int]:
        """Kind, channels, samples, time of sample 0 of its stretch, where it begins there, rate as
        samples and seconds, frame id."""

    def set_header(
        self,
        kind: str,
        channels: int,
        samples: int,
        origin_nanos: int,
        first_sample: int,
        rate: tuple[int, int],
        frame_id: int,
    ) -> None: ...
    def sample_timestamp(self, sample: int) -> int:
        """Nanoseconds since the epoch, exact, rounded down."""

    @property
    def is_mutable(self) -> bool: ...
    def freeze(self) -> None:
        """Give up writing, so that it can be shared; `BufferError` while a view may write."""

    def share(self) -> Packet:
        """One more reader of a frozen packet."""

    def release(self) -> None:
        """Give it back now; views that are open keep a frozen one alive."""

@final
class Chain:
    """Stages one after the other, run by whoever calls; named `<kind><place>`.

    A stage is its kind and its parameters. `to_voltage` before `sos` becomes one with it.
    """

    def __new__(
        cls,
        channels: int,
        samples: int,
        rate: tuple[int, int],
        stages: Sequence[tuple[str, dict[str, object]]],
        *,
        kind: str = "raw",
        isa: str | None = None,
        packets: int = 8,
        on_error: str = "stop",
        ring: tuple[str | os.PathLike[str], Schema, int] | None = None,
    ) -> Self:
        """For packets of at most so many samples; `ring` is path, schema and capacity of a new ring
        that every result is published in."""

    @property
    def isa(self) -> str:
        """What its kernels run on."""

    @property
    def output(self) -> tuple[str, int, int, tuple[int, int]]:
        """Kind, channels, rows and rate of what comes out."""

    def run(
        self,
        block: Buffer | Packet,
        origin_nanos: int = 0,
        first_sample: int = 0,
        frame_id: int = 0,
    ) -> Packet | None:
        """Take a block `[samples, channels]`, or a packet, through; None if nothing is left."""

    def time(self, block: Buffer, rounds: int) -> list[int]:
        """How long each of so many runs took, in nanoseconds, without the copy into the packet."""

    def more(self) -> Packet | None:
        """The next result for which no block has to come, such as an overlapping epoch."""

    def mark(self, time_nanos: int, channel: int = 0, value: float = 0.0) -> None:
        """Tell all stages of a marker."""

    def gauges(self, stage: str) -> list[tuple[str, float]]:
        """As of `Pipeline.gauges`."""

    def triggers(self) -> list[tuple[int, int, int, int, float, bool]]:
        """Since the last call: time, frame id, sample, channel, value, whether it rose."""

    def set(self, stage: str, name: str, value: object) -> None: ...
    def reset(self) -> None: ...
    def statistics(self) -> list[tuple[str, list[int], list[int], str]]:
        """As of `Pipeline.statistics`, for stages."""

    def pool_statistics(self) -> tuple[int, int, int, int, int]: ...
    def close(self) -> None:
        """End its ring."""

@final
class Pipeline:
    """A graph of stages, and the threads that run it without the interpreter."""

    def __new__(cls, isa: str | None = None) -> Self: ...
    @property
    def isa(self) -> str: ...
    def feed(
        self, name: str, kind: str, channels: int, samples: int, rate: tuple[int, int]
    ) -> None:
        """A source that `write` fills."""

    def ring_source(
        self,
        name: str,
        path: str | os.PathLike[str],
        samples: int,
        rate: tuple[int, int],
        from_oldest: bool = False,
    ) -> None:
        """A source of int32 (raw) or float32 (volts) records; packets have so many samples."""

    def pool(self, name: str, channels: int, samples: int, packets: int) -> None:
        """A pool that stages can take packets for their results from."""

    def stage(
        self,
        name: str,
        kind: str,
        parameters: dict[str, object],
        on_error: str = "stop",
        pool: str | None = None,
        latency_secs: float = 0.0,
    ) -> None:
        """`on_error` is `bypass`, `stop` or `restart`; the latency is the longest for a packet."""

    def ring_sink(
        self, name: str, path: str | os.PathLike[str], schema: Schema, capacity_bytes: int
    ) -> None: ...
    def tap(self, name: str) -> None:
        """A sink that `read_tap` empties."""

    def connect(
        self,
        source: str,
        target: str,
        capacity: int = 8,
        policy: str = "block",
        own_thread: bool = False,
        carries: str = "all",
    ) -> None:
        """`policy` is `block`, `drop_oldest`, `drop_newest` or `fail`, for an edge with a queue.

        `carries` is `all`, `packets`, `triggers`, or `second` for the second input of a `zip`.
        """

    def start(self, cores: Sequence[int] = ..., priority: int = 0) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def drain(self, timeout_secs: float) -> bool:
        """End the sources, then the rest once all is through; False if that takes longer."""

    def stop(self, timeout_secs: float) -> bool: ...
    def set(self, stage: str, name: str, value: object, timeout_secs: float = 5.0) -> None:
        """Change a parameter between two packets, also in a pause.

        `InvalidError` if it cannot change, or was not changed in time; then it never will be.
        """

    def write(
        self,
        feed: str,
        block: Buffer,
        origin_nanos: int = 0,
        first_sample: int = 0,
        frame_id: int = 0,
        timeout_secs: float = 5.0,
    ) -> bool:
        """Hand in a block; whether all that it goes to have it.

        Where a queue that waits stayed full, the block is held, and `settle` hands it on; it is not
        to be handed in again. `TimeoutError`: nothing was taken, as no packet came back in time or
        another block is still held. `ClosedError` after the end, and for good where a queue was
        full that fails then.
        """

    def settle(self, feed: str, timeout_secs: float = 5.0) -> bool:
        """Hand on what a full queue has kept waiting; whether nothing is left of it.

        `write` and `mark` do so first; `drain` does it until its timeout.
        """

    def lost_rows(self, feed: str) -> int:
        """Rows of blocks that were held at the end and that a queue never took."""

    def mark(
        self,
        feed: str,
        time_nanos: int,
        channel: int = 0,
        value: float = 0.0,
        timeout_secs: float = 5.0,
    ) -> bool:
        """Hand in a marker, as `write`; it goes the way of triggers, after the blocks before."""

    def read_tap(
        self, tap: str, timeout_secs: float
    ) -> Packet | tuple[int, int, int, int, float, bool] | None:
        """The next packet or trigger, None if none came; `EndOfStreamError` after the end."""

    def statistics(
        self,
    ) -> tuple[
        list[tuple[str, list[int], list[int], str]],
        list[tuple[str, list[int]]],
        list[tuple[str, list[int]]],
        list[tuple[str, str, list[int], list[int], str]],
    ]:
        """Stages and rings, queues, pools, branches, each with its name.

        - stages: packets, errors, bypassed, dropped, restarts, triggers, lost triggers; p50, p99,
          longest and sum of the durations in ns; the last error
        - queues: capacity, waiting, sent, received, dropped oldest, dropped newest, refused, waits
        - pools: as `Pool.statistics`
        - branches: state; packets, monotonic time of the last sign of life, lost records, lost
          rows, times without a packet; p50, p99, longest and sum of the latency in ns; why it ended
        """

    def latency(self) -> list[tuple[str, float, list[int]]]:
        """By branch: seconds that the stages up to its end say they take; p50, p99 and longest time
        in ns from a packet's coming in to the branch's end."""

    def gauges(self, stage: str) -> list[tuple[str, float]]:
        """A stage's own figures, such as `drift_ppm` of a `zip` or `lost` of an `epoch`."""

    def histogram(self, name: str) -> list[tuple[int, int]]:
        """Of a branch's latency or a stage's duration: least ns of a bucket, and how many."""
