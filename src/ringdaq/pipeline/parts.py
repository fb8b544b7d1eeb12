"""What the parts of a pipeline are to each other: forms of packets, feeds, sources and sinks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ringdaq.errors import RefusedError as RefusedError
from ringdaq.model import Channel

if TYPE_CHECKING:
    from ringdaq.pipeline.views import EegDataView

PacketKind = Literal["raw", "voltage", "filtered", "fft"]


@dataclass(frozen=True, slots=True)
class PacketFormat:
    """The form of the packets on an edge, known before the first one comes."""

    kind: PacketKind
    """`raw` packets hold int32 counts, all others float32."""
    channels: tuple[Channel, ...]
    """With labels and units; `scale` is volts a count where the packets are raw."""
    samples: int
    """Rows of a packet, at most."""
    rate: Fraction
    """In hertz, exact."""
    simulated: bool = False
    """Made up on purpose; every result of it says so."""
    rows: tuple[str, ...] = ()
    """What each row is, where a packet is no stretch of time: `10.5 Hz` or the name of a band."""
    packet_rate: Fraction | None = None
    """Packets a second, where `samples` does not say it."""
    epochs: bool = False
    """Packets stand for themselves: none is meant to follow the one before."""

    @property
    def period(self) -> Fraction:
        """Seconds from a packet to the next, where all are full."""
        return self.samples / self.rate if self.packet_rate is None else 1 / self.packet_rate


@dataclass(frozen=True, slots=True)
class Site:
    """What a stage is told of where it stands."""

    stage: str
    """Its name."""
    pipeline: str
    """The pipeline's name."""
    folder: Path
    """Where relative paths of the text begin."""
    rings: Path
    """The directory of the rings that it reads and writes."""
    on_error: str = "stop"
    """What a failure leads to: `stop`, `bypass` or `restart`."""
    second: PacketFormat | None = None
    """The form of what comes by a stage's second way in, where it has one."""

    def resolve(self, path: str | Path) -> Path:
        """A path written in the text, `~` expanded."""
        return self.folder / Path(path).expanduser()


class Feed(Protocol):
    """Where a source puts its blocks."""

    @property
    def stopping(self) -> bool:
        """Whether the pipeline is to end; a source then returns."""

    def wait(self, timeout_secs: float) -> bool:
        """Wait so long, or until the pipeline is to end; returns `stopping`."""

    def write(self, block: Any, origin_nanos: int, first_sample: int = 0) -> None:
        """Hand in an array [samples, channels] of int32 (raw) or float32.

        `origin_nanos` is the time of sample 0 of a gapless stretch, in ns since the epoch, and
        `first_sample` the block's place in that stretch. Waits while the pipeline has no room;
        raises `ClosedError` after its end.
        """

    def mark(self, time_nanos: int, channel: int = 0, value: float = 0.0) -> None:
        """Hand in a marker, ns since the epoch, after the blocks before it; waits likewise."""


class Source(Protocol):
    """Makes packets on a thread of its own until the pipeline is to end or nothing is left."""

    def format(self) -> PacketFormat:
        """The form of what it makes. Called once, before `run`; connects where that is needed."""

    def run(self, feed: Feed) -> None:
        """Fill the feed; returns at its end, raises where it fails."""

    def close(self) -> None:
        """Give back what it holds. Called once, whatever happened."""


class Sink(Protocol):
    """Takes packets out of a pipeline, on the control plane."""

    def open(self, format: PacketFormat) -> None:
        """Get ready for packets of a form; refuses what it cannot take."""

    def take(self, view: EegDataView) -> None:
        """Use a packet; the view is read-only and ends with the call."""

    def close(self) -> None:
        """Finish and give back what it holds. Called once, whatever happened."""
