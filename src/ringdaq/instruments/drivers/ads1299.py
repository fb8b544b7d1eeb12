"""A Texas Instruments ADS1299: eight channels of 24 bits for EEG."""

import threading
from collections.abc import Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ringdaq.clock import NANOS_PER_SEC
from ringdaq.config import Section
from ringdaq.errors import ConfigError, InstrumentFaultError, InstrumentTimeoutError
from ringdaq.instruments.capabilities import Settings
from ringdaq.instruments.driver import Driver, Site
from ringdaq.instruments.drivers import ads1299_chip as chip
from ringdaq.instruments.drivers.ads1299_chip import Command, Register
from ringdaq.instruments.knobs import check_knobs
from ringdaq.instruments.links.spi import SpiLink, open_spi
from ringdaq.instruments.pacing import block_rows
from ringdaq.instruments.sinks import Sink
from ringdaq.instruments.timing import MonotonicTimer, Timer
from ringdaq.model import Channel, StreamSpec

RESET_SECS = 0.04
"""The chip wants 10 to 40 ms after a reset."""
LOOK_SECS = 0.2
SILENCE_SECS = 2.0
"""Without a data-ready for so long, the chip does not convert."""
BAD_FRAMES = 10
"""So many frames out of step one after the other are no accident."""


class Ads1299Options(Section):
    """Options of `ti.ads1299`."""

    link: str = ""
    """What makes the SPI link, as `package.module:CALLABLE`; none for a simulated chip."""
    channels: Annotated[int, Field(ge=1, le=8)] = 8
    """The first ones; the others are switched off."""
    labels: list[str] = Field(default_factory=list)
    """Their names; without it E1, E2 and so on."""
    rate_hz: Literal[250, 500, 1000, 2000, 4000, 8000, 16000] = 250
    """Samples per second."""
    gain: Literal[1, 2, 4, 6, 8, 12, 24] = 24
    """Of all channels."""
    vref: Annotated[float, Field(gt=0, le=5)] = 4.5
    """In volts; the chip's own reference has 4.5."""
    srb1: bool = True
    """Whether SRB1 is the reference of all channels."""
    bias: bool = True
    """Whether the used channels drive the bias electrode."""
    block_secs: Annotated[float, Field(gt=0, le=1)] = 0.025
    """How long a block is."""

    @model_validator(mode="after")
    def _one_label_a_channel(self) -> Any:
        if self.labels and len(set(self.labels)) != self.channels:
            raise ValueError(
                f"labels must be as many as channels, {self.channels}, and differ; "
                f"found {self.labels}"
            )
        return self


class Ads1299:
    """SampleProducer; codes as the chip has them, at the times of its data-ready line."""

    def __init__(
        self,
        name: str,
        options: Ads1299Options,
        link: SpiLink,
        *,
        simulated: bool,
        timer: Timer | None = None,
    ) -> None:
        """Reset the chip and write its registers; an `InstrumentFaultError` if it is another one,
        or does not hold what was written."""
        self.name = name
        self.lost_samples = 0
        """Conversions that could not be read in time, or whose frame was out of step."""
        self._options = options
        self._link = link
        self._simulated = simulated
        self._timer = timer or MonotonicTimer()
        self._rate = Fraction(options.rate_hz)
        self._set_up()

    def stream_specs(self) -> list[StreamSpec]:
        options = self._options
        labels = options.labels or [f"E{n + 1}" for n in range(options.channels)]
        scale = chip.volts_per_code(options.vref, options.gain)
        return [
            StreamSpec(
                name=self.name,
                kind="samples",
                channels=tuple(Channel(label, "int32", unit="V", scale=scale) for label in labels),
                sample_rate=self._rate,
                instrument=self.name,
                simulated=self._simulated,
                metadata={"gain": str(options.gain), "vref": str(options.vref)},
            )
        ]

    def run(self, sinks: Mapping[str, Sink], stop: threading.Event) -> None:
        rows = block_rows(self._rate, self._options.block_secs)
        block = _Block(sinks[self.name], rows, self._options.channels)
        self._command(Command.START, Command.RDATAC)
        try:
            self._read_on(block, stop)
        finally:
            self._command(Command.SDATAC, Command.STOP)

    def settings(self) -> Settings:
        return {
            "rate": {"value": self._options.rate_hz, "unit": "Hz"},
            "gain": {"value": self._options.gain, "unit": ""},
            "vref": {"value": self._options.vref, "unit": "V"},
            "lost_samples": {"value": self.lost_samples, "unit": ""},
        }

    def configure(self, **knobs: Any) -> None:
        check_knobs(self.name, knobs, ())

    def make_safe(self) -> None:
        """Nothing to do: it listens."""

    def close(self) -> None:
        """Give the link back."""
        self._link.close()

    # --- reading

    def _read_on(self, block: "_Block", stop: threading.Event) -> None:
        last, silent_secs, bad = 0, 0.0, 0
        while not stop.is_set():
            edges = self._link.ready(LOOK_SECS)
            silent_secs = 0.0 if edges else silent_secs + LOOK_SECS
            if silent_secs >= SILENCE_SECS:
                raise InstrumentTimeoutError(
                    f"{self.name}: the data-ready line did not fall for {SILENCE_SECS:g} s; is it "
                    f"wired to the link's pin, and has the chip power and a clock?",
                    instrument=self.name,
                )
            if not edges:
                continue
            # The chip keeps one conversion: what an earlier edge announced is gone.
            frame, edge = self._link.transfer(bytes(chip.FRAME_BYTES)), edges[-1]
            bad = 0 if chip.in_step(frame) else bad + 1
            if bad:
                self._count_bad(bad, frame)
                continue
            missed = self._missed(last, edge)
            if missed:
                block.flush()
                self.lost_samples += missed
            block.add(edge, frame)
            last = edge
        block.flush()

    def _missed(self, last: int, edge: int) -> int:
        """Conversions between two that were read, which nobody read."""
        return max(0, round((edge - last) * self._rate / NANOS_PER_SEC) - 1) if last else 0

    def _count_bad(self, bad: int, frame: bytes) -> None:
        if bad >= BAD_FRAMES:
            raise InstrumentFaultError(
                f"{self.name}: a frame begins with the bits 1100; {bad} in a row did not, the last "
                f"one began with {frame[:3].hex()}: are SPI mode (1) and speed right?",
                instrument=self.name,
            )

    # --- setting up

    def _set_up(self) -> None:
        self._command(Command.RESET)
        self._timer.wait_until_set(threading.Event(), RESET_SECS)
        # After a reset the chip sends data all the time, and then takes no registers.
        self._command(Command.SDATAC, Command.STOP)
        found = self._read(Register.ID, 1)[0]
        if found != chip.CHIP_ID:
            raise InstrumentFaultError(
                f"{self.name}: an ADS1299 says that it is {chip.CHIP_ID:#04x}; "
                f"found {found:#04x}: is another chip there, or none?",
                instrument=self.name,
            )
        for first, values in self._registers().items():
            self._write(first, values)
            back = self._read(first, len(values))
            if back != values:
                raise InstrumentFaultError(
                    f"{self.name}: registers from {first.name} on should hold {values.hex()} and "
                    f"hold {back.hex()}; is the line to the chip sound?",
                    instrument=self.name,
                )

    def _registers(self) -> dict[Register, bytes]:
        """What is written, by the first register's address."""
        options = self._options
        used = (1 << options.channels) - 1
        channel = chip.GAIN_CODES[options.gain] << 4
        unused = chip.CHANNELS - options.channels
        bias = 0x0C if options.bias else 0
        return {
            Register.CONFIG1: bytes([0xD0 | chip.RATE_CODES[options.rate_hz], 0xC0, 0xE0 | bias]),
            Register.CH1SET: bytes([channel] * options.channels + [chip.POWERED_DOWN] * unused),
            Register.BIAS_SENSP: bytes([used if options.bias else 0, 0]),
            Register.LOFF_SENSP: bytes([0, 0]),
            Register.MISC1: bytes([0x20 if options.srb1 else 0]),
        }

    def _command(self, *commands: Command) -> None:
        for command in commands:
            self._link.transfer(bytes([command]))

    def _read(self, first: Register, count: int) -> bytes:
        sent = bytes([Command.RREG | first, count - 1]) + bytes(count)
        return self._link.transfer(sent)[2:]

    def _write(self, first: Register, values: bytes) -> None:
        self._link.transfer(bytes([Command.WREG | first, len(values) - 1]) + values)


class _Block:
    """Gathers frames that follow each other without a gap."""

    def __init__(self, sink: Sink, rows: int, channels: int) -> None:
        self._sink, self._rows, self._channels = sink, rows, channels
        self._frames: list[bytes] = []
        self._first_nanos = 0

    def add(self, edge_nanos: int, frame: bytes) -> None:
        if not self._frames:
            self._first_nanos = edge_nanos
        self._frames.append(frame)
        if len(self._frames) == self._rows:
            self.flush()

    def flush(self) -> None:
        if self._frames:
            codes = chip.decode_frames(b"".join(self._frames))[:, : self._channels]
            self._frames.clear()
            self._sink.write_block(self._first_nanos, codes.copy(order="C"))


def build(site: Site, options: Ads1299Options) -> Ads1299:
    """Set up the chip at the end of the link, or a simulated one."""
    if site.simulated == bool(options.link):
        raise ConfigError(
            f"{site.name}: write either simulated = true or a link to a real chip; "
            f"found {'both' if site.simulated else 'neither'}"
        )
    if site.simulated:
        from ringdaq.instruments.sim.ads1299 import SimulatedAds1299

        link: SpiLink = SimulatedAds1299(site.timer, vref=options.vref)
    else:
        link = open_spi(options.link)
    try:
        return Ads1299(site.name, options, link, simulated=site.simulated, timer=site.timer)
    except BaseException:
        link.close()
        raise


DRIVER = Driver(Ads1299, Ads1299Options, build, made_up=None)
