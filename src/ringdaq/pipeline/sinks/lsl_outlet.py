"""An LSL outlet as a sink: labels, units and exact times, for any LSL client."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field

from ringdaq.config import Section
from ringdaq.model import Channel
from ringdaq.pipeline.lsl import lsl_library, lsl_secs
from ringdaq.pipeline.parts import PacketFormat, Site
from ringdaq.pipeline.views import EegDataView
from ringdaq.pipeline.volts import Physical, in_microvolts, volts_per


class LslOutlet:
    """Sends every packet at once; voltages go as microvolts, counts as what they stand for."""

    takes = ("raw", "voltage", "filtered")

    class Options(Section):
        """Of an `lsl_sink`."""

        stream: Annotated[str, Field(min_length=1)] | None = None
        """Its name, as others find it; without it `PIPELINE.STAGE`."""
        stream_type: Annotated[str, Field(min_length=1)] = "EEG"
        """What it carries."""
        source_id: str = ""
        """The same at every start, so that inlets find the stream again; without it
        `ringdaq.STREAM`."""
        buffer_secs: Annotated[int, Field(ge=1, le=3600)] = 60
        """How far a slow inlet may fall behind before LSL drops its oldest samples."""

    def __init__(self, options: Options, site: Site) -> None:
        self._options = options
        self._name = options.stream or f"{site.pipeline}.{site.stage}"
        self._outlet: Any = None
        self._physical = Physical(())

    def open(self, format: PacketFormat) -> None:
        """Make the stream known."""
        lsl = lsl_library()
        info = lsl.StreamInfo(
            self._name,
            self._options.stream_type,
            len(format.channels),
            float(format.rate),
            "float32",
            self._options.source_id or f"ringdaq.{self._name}",
        )
        _describe(info, format, self._options.stream_type)
        self._physical = Physical([in_microvolts(channel) for channel in format.channels])
        self._outlet = lsl.StreamOutlet(info, max_buffered=self._options.buffer_secs)

    def take(self, view: EegDataView) -> None:
        values = self._physical(view.data).astype(np.float32)
        stamps = view.timestamps()
        if len(values) == 1:
            self._outlet.push_sample(values[0], lsl_secs(int(stamps[0])))
        else:
            self._outlet.push_chunk(values, _secs(stamps))

    def close(self) -> None:
        # The library ends the stream with the object.
        self._outlet = None


def _secs(stamps: Any) -> Any:
    # Integers first: a float64 of ns since the epoch would be off by 100 ns.
    first = int(stamps[0])
    return lsl_secs(first) + (stamps - first) / 1e9


def _unit(channel: Channel) -> str:
    return channel.unit if volts_per(channel.unit) is None else "microvolts"


def _describe(info: Any, format: PacketFormat, kind: str) -> None:
    """Labels, types and units as XDF has them, and whether the values are made up."""
    info.set_channel_names([channel.name for channel in format.channels])
    info.set_channel_types([kind] * len(format.channels))
    info.set_channel_units([_unit(channel) or "none" for channel in format.channels])
    acquisition = info.desc.append_child("acquisition")
    acquisition.append_child_value("manufacturer", "ringdaq")
    acquisition.append_child_value("simulated", str(format.simulated).lower())
    acquisition.append_child_value("sample_rate", str(format.rate))
