"""Streams as a pipeline's beginning and end; the core reads and writes them itself."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import ringdaq_core as core
from pydantic import Field, model_validator

from ringdaq.config import Section, Size
from ringdaq.model import Channel, StreamSpec, check_name
from ringdaq.pipeline.parts import PacketFormat, RefusedError, Site
from ringdaq.pipeline.volts import volts_per
from ringdaq.streams import RingDirectory
from ringdaq.streams.failures import CORE_ERRORS, stream_error
from ringdaq.streams.layout import Layout

StreamName = Annotated[str, Field(min_length=1, max_length=100)]
_TRIES = 100
LEAST_BYTES = 64 * 1024
SHORT_SECS = Fraction(1, 100)
"""How short packets are taken to be: each record has some bytes beside its samples."""


class RingSource:
    """Reads the records of a stream's newest ring."""

    class Options(Section):
        """Of a `ring_source`."""

        stream: StreamName
        """The stream's name; its samples are int32 (raw packets) or float32, in their own unit."""
        samples: Annotated[int, Field(ge=1, le=1_000_000)] = 400
        """Of a packet, at most."""
        from_oldest: bool = False
        """Begin with the oldest record that is left, not with the newest."""

    def __init__(self, options: Options, site: Site) -> None:
        self._options = options
        self._site = site
        self.stream, self.from_oldest = options.stream, options.from_oldest

    @property
    def connects(self) -> bool:
        """Whether its form can be known only once the stream is there."""
        return not RingDirectory(self._site.rings).generations(self._options.stream)

    @cached_property
    def path(self) -> Path:
        """The ring."""
        return RingDirectory(self._site.rings).newest(self._options.stream)

    def format(self) -> PacketFormat:
        """The stream's form; the stream must be there."""
        try:
            spec = Layout.from_message(core.RingReader.open(self.path).schema).spec
        except CORE_ERRORS as error:
            raise stream_error(error, self._options.stream, self.path) from None
        dtype = spec.channels[0].dtype
        if spec.kind != "samples" or dtype not in ("int32", "float32"):
            raise RefusedError(
                f"a pipeline reads samples of int32 or float32; stream {spec.name!r} has "
                f"{spec.kind} of {dtype}",
                "stream",
            )
        assert spec.sample_rate is not None
        raw = dtype == "int32"
        return PacketFormat(
            "raw" if raw else "voltage",
            tuple(map(_in_volts, spec.channels)) if raw else spec.channels,
            self._options.samples,
            spec.sample_rate,
            spec.simulated,
        )

    def close(self) -> None:
        """Nothing is held."""


def _in_volts(channel: Channel) -> Channel:
    """A channel of counts whose scale is in volts a count, where it is a voltage at all."""
    volts = volts_per(channel.unit)
    if volts is None:
        return channel
    return replace(channel, unit="V", scale=channel.scale * volts, offset=channel.offset * volts)


class RingSink:
    """Writes packets into a stream of their own."""

    class Options(Section):
        """Of a `ring_sink`."""

        stream: StreamName | None = None
        """The stream's name; without it `PIPELINE.STAGE`."""
        minutes: Annotated[float, Field(gt=0)] = 2.0
        """How much the ring holds, at least, of packets of 10 ms or more; shorter ones need more
        room for the same time."""
        capacity_bytes: Size | None = None
        """The ring's size, in the place of `minutes`."""

        @model_validator(mode="after")
        def _one_of_two(self) -> Any:
            if self.capacity_bytes is not None and "minutes" in self.model_fields_set:
                raise ValueError("write either minutes or capacity_bytes")
            return self

    def __init__(self, options: Options, site: Site) -> None:
        self._options = options
        self._site = site
        self.stream = check_name(options.stream or f"{site.pipeline}.{site.stage}", "stream")

    def spec(self, given: PacketFormat, metadata: dict[str, str] | None = None) -> StreamSpec:
        """The stream: samples, or spectra as frames [rows, channels]."""
        metadata = {"pipeline": self._site.pipeline, **(metadata or {})}
        if given.kind != "fft":
            dtype = "int32" if given.kind == "raw" else "float32"
            channels = tuple(replace(c, dtype=dtype) for c in given.channels)
            return StreamSpec(
                self.stream,
                "samples",
                channels,
                sample_rate=given.rate,
                simulated=given.simulated,
                metadata=metadata,
            )
        shape = len(given.rows), len(given.channels)
        metadata |= {
            "rows": json.dumps(given.rows, ensure_ascii=False),
            "channels": json.dumps([c.name for c in given.channels], ensure_ascii=False),
        }
        frame = Channel("spectrum", "float32", given.channels[0].unit, shape)
        return StreamSpec(
            self.stream, "frames", (frame,), simulated=given.simulated, metadata=metadata
        )

    def capacity(self, given: PacketFormat) -> int:
        """The ring's size in bytes."""
        if self._options.capacity_bytes is not None:
            return self._options.capacity_bytes
        from ringdaq.streams import record_bytes

        rows, period = 1 if given.kind == "fft" else given.samples, given.period
        if given.packet_rate is None:
            # A ring source makes a packet of each record, however short that is.
            rows = max(1, min(rows, int(given.rate * SHORT_SECS)))
            period = rows / given.rate
        packets = self._options.minutes * 60 / float(period)
        return max(LEAST_BYTES, int(packets * record_bytes(self.spec(given), rows)))

    def check(self, given: PacketFormat) -> None:
        """Refuse channels that a stream cannot have."""
        self.spec(given)

    def create(
        self, pipeline: core.Pipeline, given: PacketFormat, metadata: dict[str, str]
    ) -> Path:
        """Make the ring, the stream's next generation, as a sink of the pipeline."""
        rings = RingDirectory(self._site.rings)
        rings.make()
        schema, capacity = Layout.from_spec(self.spec(given, metadata)).schema, self.capacity(given)
        for _ in range(_TRIES):
            path = rings.next_path(self.stream)
            try:
                pipeline.ring_sink(self._site.stage, path, schema, capacity)
                return path
            except FileExistsError:
                continue
            except CORE_ERRORS as error:
                raise stream_error(error, self.stream, path) from None
        raise RefusedError(f"{_TRIES} generations of {self.stream!r} were taken by others")
