"""An LSL stream as a source: found by name, on ringdaq's clock, gaps counted."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.config import Section
from ringdaq.errors import BadRequestError, NotConnectedError, StreamError
from ringdaq.instruments.drivers.edf_file import unique_names
from ringdaq.model import Channel
from ringdaq.pipeline.lsl import lsl_library, unit_of
from ringdaq.pipeline.parts import Feed, PacketFormat, Site
from ringdaq.pipeline.sources.counts import Conversion, conversion
from ringdaq.pipeline.sources.gathering import Gatherer
from ringdaq.pipeline.sources.lsl_markers import Markers
from ringdaq.pipeline.sources.sender_clock import SenderClock
from ringdaq.pipeline.sources.time_line import TimeLine

DTYPES = ("int8", "int16", "int32", "float32", "float64")
MOST_SECONDS = 10**6
"""After which a rate's samples fall on whole seconds again."""
SAME_RATE = Fraction(1, 10**12)
"""Rates this close are one: a day later they are less than a microsecond apart."""
LOOK_SECS = 0.2
"""How long a pull waits before it looks whether the pipeline ends."""


class LslInlet:
    """Takes in a stream of regular rate; whole numbers of one voltage unit come as raw counts."""

    connects = True

    class Options(Section):
        """Of an `lsl_source`."""

        stream: str = ""
        """Its name. At least one of stream, stream_type and source_id is needed."""
        stream_type: str = ""
        """What it carries, such as EEG."""
        source_id: str = ""
        """Of the device behind it."""
        timeout_secs: Annotated[float, Field(gt=0, le=600)] = 10.0
        """How long one look for the stream takes; under a daemon, the next one follows."""
        samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
        """Rows of a packet; without it, as many as 10 ms hold."""
        unit: str = ""
        """Of channels whose description has none; without it they have no unit."""
        tolerance_secs: Annotated[float, Field(gt=0, le=10)] = 0.02
        """A stamp further than this from where it is due begins a new stretch."""
        silence_secs: Annotated[float, Field(gt=0, le=3600)] = 10.0
        """How long nothing may come before the source fails."""
        markers: str = ""
        """The name of an LSL stream of markers; each is a trigger, with its value if a number."""

        @model_validator(mode="after")
        def _named(self) -> Any:
            if not (self.stream or self.stream_type or self.source_id):
                raise ValueError("say which LSL stream: by stream, stream_type or source_id")
            return self

    def __init__(self, options: Options, site: Site) -> None:
        del site
        self._options = options
        self._inlet: Any = None
        self._markers: Markers | None = None
        self._conversion: Conversion | None = None
        self._gathered = Gatherer(1)
        self._silent_secs = 0.0
        self._clock: SenderClock | None = None
        self.line = TimeLine(Fraction(1), 0)
        """Where the samples lie, and what is missing."""

    def format(self) -> PacketFormat:
        """Find the stream and connect; refuses one of irregular rate, or of text."""
        lsl = lsl_library()
        found = _resolve(lsl, self._options)
        self._inlet = lsl.StreamInlet(found)
        try:
            self._inlet.open_stream(timeout=self._options.timeout_secs)
            info = self._inlet.get_sinfo(timeout=self._options.timeout_secs)
            self._clock = SenderClock(self._inlet, self._options.timeout_secs)
        except TimeoutError as error:
            raise NotConnectedError(
                f"the LSL stream {_said(self._options)} was found and does not answer within "
                f"{self._options.timeout_secs:g} s; is a firewall between here and its sender?"
            ) from error
        rate = _rate(info)
        self._conversion = conversion(_channels(info, self._options.unit))
        self.line = TimeLine(rate, int(self._options.tolerance_secs * NANOS_PER_SEC))
        rows = self._options.samples or max(1, round(rate / 100))
        self._gathered = Gatherer(rows)
        if self._options.markers:
            self._markers = Markers(lsl, self._options.markers, self._options.timeout_secs)
        return PacketFormat(
            kind=self._conversion.kind,
            channels=self._conversion.channels,
            samples=rows,
            rate=rate,
            simulated=_acquisition(info, "simulated") == "true",
        )

    def run(self, feed: Feed) -> None:
        """Hand in full packets, and at the end, whatever it is, a shorter one."""
        try:
            while not feed.stopping:
                if self._gather():
                    self._hand_in(feed, *self._gathered.take())
                self._mark(feed)
        finally:
            if self._gathered.rows:
                self._hand_in(feed, *self._gathered.take())

    def _mark(self, feed: Feed) -> None:
        if self._markers is not None:
            for nanos, value in self._markers.take():
                feed.mark(nanos, value=value)

    def statistics(self) -> dict[str, int]:
        """Gaps and lost samples so far."""
        return self.line.counts()

    def close(self) -> None:
        inlet, self._inlet = self._inlet, None
        if inlet is not None:
            inlet.close_stream()
        if self._markers is not None:
            self._markers.close()

    def _gather(self) -> bool:
        """Wait a little for samples; returns whether a packet is full."""
        try:
            block, stamps = self._inlet.pull_chunk(LOOK_SECS, self._gathered.missing)
        except RuntimeError as error:
            raise StreamError(
                f"the LSL stream {_said(self._options)} is lost, and without a source_id it cannot "
                f"be found again ({error})"
            ) from error
        self._silent_secs = 0.0 if len(stamps) else self._silent_secs + LOOK_SECS
        if self._silent_secs >= self._options.silence_secs:
            raise StreamError(
                f"nothing came from the LSL stream {_said(self._options)} for "
                f"{self._silent_secs:.1f} s; does its sender still run?"
            )
        return self._gathered.add(block, stamps)

    def _hand_in(
        self, feed: Feed, block: npt.NDArray[Any], stamps: npt.NDArray[np.float64]
    ) -> None:
        assert self._conversion is not None
        assert self._clock is not None
        converted = self._conversion(block)
        for first, end, origin, at in self.line.place_all(self._clock.nanos(stamps)):
            feed.write(converted[first:end], origin, at)


def _resolve(lsl: Any, options: LslInlet.Options) -> Any:
    """The one stream that fits."""
    streams = lsl.resolve_streams(
        timeout=options.timeout_secs,
        name=options.stream or None,
        stype=options.stream_type or None,
        source_id=options.source_id or None,
    )
    if not streams:
        raise NotConnectedError(
            f"no LSL stream {_said(options)} was found within {options.timeout_secs:g} s; is its "
            f"sender running, on this network?"
        )
    if len(streams) > 1:
        named = ", ".join(f"{s.name!r} (source_id {s.source_id!r})" for s in streams)
        raise BadRequestError(
            f"one LSL stream was expected for {_said(options)}; found {named}: say more of it"
        )
    (stream,) = streams
    if stream.sfreq <= 0:
        raise BadRequestError(
            f"a source has a sample rate; the LSL stream {stream.name!r} is irregular: markers "
            f"and events have no place in packets"
        )
    if stream.dtype == "string" or np.dtype(stream.dtype).name not in DTYPES:
        raise BadRequestError(
            f"a source takes the formats {', '.join(DTYPES)}; the LSL stream {stream.name!r} has "
            f"{np.dtype(stream.dtype).name if stream.dtype != 'string' else 'string'}"
        )
    return stream


def _said(options: LslInlet.Options) -> str:
    wanted = {
        "stream": options.stream,
        "stream_type": options.stream_type,
        "source_id": options.source_id,
    }
    return ", ".join(f"{key} {value!r}" for key, value in wanted.items() if value)


def _acquisition(info: Any, key: str) -> str:
    """What the sender says of where the samples are from; `""` where it says nothing."""
    return str(info.desc.child("acquisition").child_value(key))


def _rate(info: Any) -> Fraction:
    """The rate, exact where the sender is ringdaq: LSL itself has a float64."""
    with contextlib.suppress(ValueError, ZeroDivisionError):
        exact = Fraction(_acquisition(info, "sample_rate"))
        if float(exact) == info.sfreq:
            return exact
    return plain_rate(info.sfreq)


def plain_rate(hertz: float) -> Fraction:
    """A rate as a fraction of small numbers where one is as close as a float is meant to be.

    Rates such as 58000/27 Hz do not end as decimals, and all of a float's digits make a fraction
    that nobody can count in.
    """
    exact = Fraction(str(hertz))
    plain = exact.limit_denominator(MOST_SECONDS)
    return plain if abs(plain - exact) <= exact * SAME_RATE else exact


def _channels(info: Any, unit: str) -> list[Channel]:
    """Channels as the sender describes them; those without a name are numbered."""
    names = unique_names([name or "" for name in _listed(info, info.get_channel_names())])
    units = [unit_of(said or unit) for said in _listed(info, info.get_channel_units())]
    dtype = np.dtype(info.dtype).name
    return [Channel(name, dtype, unit=unit) for name, unit in zip(names, units, strict=True)]


def _listed(info: Any, said: list[str | None] | None) -> list[str | None]:
    """One entry a channel; a description of another number of channels says nothing."""
    return said if said and len(said) == info.n_channels else [None] * info.n_channels
