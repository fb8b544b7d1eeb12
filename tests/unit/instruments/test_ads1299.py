"""The ADS1299's driver against a chip that is made up down to its bytes."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from ringdaq.config import parse_rig
from ringdaq.errors import ConfigError, InstrumentFaultError, InstrumentTimeoutError
from ringdaq.instruments import build_instruments
from ringdaq.instruments.drivers import ads1299_chip as chip
from ringdaq.instruments.drivers.ads1299 import Ads1299, Ads1299Options
from ringdaq.instruments.drivers.ads1299_chip import Command, Register
from ringdaq.instruments.sim.ads1299 import RESET_VALUES, SimulatedAds1299

MILLI = 1_000_000


def ramp(number: int, rate: Fraction) -> Any:
    """Each channel has a value of its own, one code more with each conversion at gain 24."""
    return (number + 1000 * np.arange(8)) * (4.5 / 24 / 2**23)


class Spied(SimulatedAds1299):
    """Keeps what is sent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.sent: list[bytes] = []
        super().__init__(*arguments, **options)

    def transfer(self, sent: bytes) -> bytes:
        self.sent.append(sent)
        return super().transfer(sent)


def amplifier(link: Any, timer: Any, **options: Any) -> Ads1299:
    return Ads1299("eeg", Ads1299Options(**options), link, simulated=True, timer=timer)


def measured(instrument: Ads1299, sink: Any) -> tuple[list[int], Any]:
    """Blocks' first times, and all samples; the sink says when it is enough."""
    instrument.run({"eeg": sink}, sink.full)
    times = [first for first, _ in sink.records]
    return times, np.concatenate([block for _, block in sink.records])


# --- the chip's own words


@pytest.mark.parametrize(
    ("code", "octets"),
    [
        (2**23 - 1, "7fffff"), (-(2**23), "800000"), (-1, "ffffff"), (0, "000000"),
        (1, "000001"), (-2, "fffffe"), (0x123456, "123456"), (-0x123456, "edcbaa"),
    ],
)  # fmt: skip
def test_codes_are_two_s_complement_with_the_high_byte_first(code: int, octets: str) -> None:
    frame = bytes.fromhex("c00000" + octets + "000000" * 6 + "7fffff")
    assert chip.decode_frames(frame).tolist() == [[code, 0, 0, 0, 0, 0, 0, 2**23 - 1]]
    assert chip.encode_frame([code, 0, 0, 0, 0, 0, 0, 2**23 - 1]) == frame


def test_every_code_comes_back() -> None:
    codes = np.random.default_rng(1).integers(-(2**23), 2**23, (500, 8))
    frames = b"".join(chip.encode_frame(row) for row in codes)
    assert np.array_equal(chip.decode_frames(frames), codes)


def test_volts_a_code_are_those_of_the_data_sheet() -> None:
    assert chip.volts_per_code(4.5, 24) == pytest.approx(22.35e-9, rel=1e-3)
    assert chip.volts_per_code(4.5, 24) * 2**23 == 0.1875
    assert chip.volts_per_code(4.5, 1) * -(2**23) == -4.5


@pytest.mark.parametrize("status", ["c00000", "cfffff"])
def test_a_frame_in_step_begins_with_1100(status: str) -> None:
    rest = bytes(24)
    assert chip.in_step(bytes.fromhex(status) + rest)
    assert not chip.in_step(bytes.fromhex("0" + status[1:]) + rest)
    assert not chip.in_step(bytes.fromhex(status) + rest[:-1])


# --- setting up


def test_registers_hold_what_the_options_say(timer: Any) -> None:
    link = Spied(timer)
    amplifier(link, timer, channels=3, rate_hz=4000, gain=6)
    registers = link.registers
    assert link.sent[0] == bytes([Command.RESET])
    assert registers[Register.ID] == 0x3E
    assert registers[Register.CONFIG1] == 0xD0 | 2
    assert registers[Register.CONFIG2] == 0xC0
    assert registers[Register.CONFIG3] == 0xEC
    assert registers[Register.CH1SET : Register.CH1SET + 8].hex() == "303030" + "81" * 5
    assert registers[Register.BIAS_SENSP] == 0b111
    assert registers[Register.MISC1] == 0x20
    assert registers[Register.LOFF] == registers[Register.LOFF_SENSP] == 0


@pytest.mark.parametrize(("rate", "code"), chip.RATE_CODES.items())
def test_each_rate_has_its_code(timer: Any, rate: Any, code: int) -> None:
    link = SimulatedAds1299(timer)
    instrument = amplifier(link, timer, rate_hz=rate)
    assert link.registers[Register.CONFIG1] & 0b111 == code
    assert link.rate == instrument.stream_specs()[0].sample_rate == rate


@pytest.mark.parametrize(("gain", "code"), chip.GAIN_CODES.items())
def test_each_gain_has_its_code_and_its_scale(
    timer: Any, list_sink: Any, gain: Any, code: int
) -> None:
    link = SimulatedAds1299(timer, volts=lambda *_: np.full(8, 0.1))
    instrument = amplifier(link, timer, gain=gain)
    assert link.registers[Register.CH1SET] == code << 4
    (channel, *_) = instrument.stream_specs()[0].channels
    _, codes = measured(instrument, list_sink(enough=1))
    assert codes[0, 0] * channel.scale == pytest.approx(0.1, abs=channel.scale)


def test_a_bias_and_a_reference_that_are_not_wanted_stay_off(timer: Any) -> None:
    link = SimulatedAds1299(timer)
    amplifier(link, timer, bias=False, srb1=False)
    assert link.registers[Register.CONFIG3] == 0xE0
    assert link.registers[Register.BIAS_SENSP] == link.registers[Register.MISC1] == 0


def test_a_reset_chip_is_as_its_maker_leaves_it_and_takes_no_registers(timer: Any) -> None:
    link = SimulatedAds1299(timer)
    link.transfer(bytes([Command.WREG | Register.CONFIG1, 0, 0x90]))
    assert bytes(link.registers) == RESET_VALUES
    link.transfer(bytes([Command.SDATAC]))
    link.transfer(bytes([Command.WREG | Register.ID, 1, 0, 0x90]))
    assert link.registers[:2].hex() == "3e90"
    assert link.transfer(bytes([Command.RREG, 1, 0, 0]))[2:].hex() == "3e90"
    link.transfer(bytes([Command.RESET]))
    assert bytes(link.registers) == RESET_VALUES


def test_standby_ends_the_conversions_until_wake_up(timer: Any) -> None:
    link = SimulatedAds1299(timer)
    link.transfer(bytes([Command.START]))
    assert len(link.ready(1.0)) == 1
    link.transfer(bytes([Command.STANDBY]))
    assert link.ready(1.0) == []
    link.transfer(bytes([Command.WAKEUP]))
    assert link.ready(1.0)
    link.transfer(bytes([Command.STOP]))
    assert link.ready(1.0) == []


def test_another_chip_is_refused(timer: Any) -> None:
    link = SimulatedAds1299(timer)
    reset = link._reset

    def impostor() -> None:
        reset()
        link.registers[0] = 0x3C

    link._reset = impostor  # type: ignore[method-assign]
    with pytest.raises(InstrumentFaultError, match="says that it is 0x3e; found 0x3c"):
        amplifier(link, timer)


def test_a_register_that_does_not_hold_is_told(timer: Any) -> None:
    class Deaf(SimulatedAds1299):
        def transfer(self, sent: bytes) -> bytes:
            writes = sent[0] & 0xE0 == Command.WREG
            return bytes(len(sent)) if writes else super().transfer(sent)

    with pytest.raises(InstrumentFaultError, match="CONFIG1 on should hold d6c0ec and hold 96c060"):
        amplifier(Deaf(timer), timer)


# --- measuring


def test_samples_have_the_times_of_their_data_ready(timer: Any, list_sink: Any) -> None:
    instrument = amplifier(SimulatedAds1299(timer, volts=ramp), timer, channels=5)
    times, codes = measured(instrument, list_sink(enough=40))
    assert codes.shape[1] == 5
    assert np.array_equal(codes, np.arange(len(codes))[:, None] + 1000 * np.arange(5))
    rows = len(codes) // len(times)
    assert np.diff(times).tolist() == [rows * 4 * MILLI] * (len(times) - 1)
    assert instrument.lost_samples == 0


def test_the_ends_of_the_scale_are_whole_and_nothing_turns_over(timer: Any, list_sink: Any) -> None:
    volts = np.array([0.1875, -0.1875, 5.0, -5.0, 0.0, 22.35e-9, -22.35e-9, 0.09375])
    link = SimulatedAds1299(timer, volts=lambda *_: volts)
    _, codes = measured(amplifier(link, timer), list_sink(enough=1))
    top, bottom = 2**23 - 1, -(2**23)
    assert codes[0].tolist() == [top, bottom, top, bottom, 0, 1, -1, 2**22]


def test_a_data_ready_that_nobody_saw_is_counted_and_no_sample_is_made_up(
    timer: Any, list_sink: Any
) -> None:
    link = SimulatedAds1299(timer, volts=ramp, missing={10, 11, 25})
    instrument = amplifier(link, timer, channels=1)
    sink = list_sink(enough=12)
    times, codes = measured(instrument, sink)
    assert instrument.lost_samples == 3
    numbers = codes[:, 0].tolist()
    assert numbers == [n for n in range(numbers[-1] + 1) if n not in (10, 11, 25)]
    origin = times[0]
    for first, block in sink.records:
        assert first - origin == block[0, 0] * 4 * MILLI
        assert np.diff(block[:, 0]).tolist() == [1] * (len(block) - 1)


def test_a_reader_that_is_late_gets_the_newest_and_counts_the_others(
    timer: Any, list_sink: Any
) -> None:
    class Late(SimulatedAds1299):
        def ready(self, timeout_secs: float) -> list[int]:
            if self._seen == 9:
                timer.time += 0.0201
            return super().ready(timeout_secs)

    instrument = amplifier(Late(timer, volts=ramp), timer, channels=1)
    _, codes = measured(instrument, list_sink(enough=8))
    assert instrument.lost_samples == 4
    assert codes[:12, 0].tolist() == [*range(10), 14, 15]


def test_frames_out_of_step_are_lost_samples_and_a_fault_if_they_do_not_end(
    timer: Any, list_sink: Any
) -> None:
    class Noisy(SimulatedAds1299):
        bad = (3,)

        def transfer(self, sent: bytes) -> bytes:
            answer = super().transfer(sent)
            broken = len(sent) == chip.FRAME_BYTES and self._seen in self.bad
            return b"\x12" + answer[1:] if broken else answer

    link = Noisy(timer, volts=ramp)
    instrument = amplifier(link, timer, channels=1)
    _, codes = measured(instrument, list_sink(enough=3))
    assert instrument.lost_samples == 1
    assert 3 not in codes[:, 0]
    link.bad = range(1 << 30)  # type: ignore[assignment]
    with pytest.raises(InstrumentFaultError, match=r"1100; 10 in a row.*began with 120000"):
        measured(instrument, list_sink(enough=1))


def test_a_silent_data_ready_line_is_a_timeout(timer: Any, list_sink: Any) -> None:
    instrument = amplifier(SimulatedAds1299(timer, missing=range(1 << 30)), timer)
    with pytest.raises(InstrumentTimeoutError, match="did not fall for 2 s"):
        instrument.run({"eeg": list_sink()}, threading.Event())


def test_conversions_end_with_the_run(timer: Any, list_sink: Any) -> None:
    link = SimulatedAds1299(timer)
    measured(amplifier(link, timer), list_sink(enough=2))
    assert not link.converting


# --- in a rig


def rig(simulated: bool, options: str) -> Any:
    text = '[rig]\nname = "t"\n[[instrument]]\nname = "eeg"\ndriver = "ti.ads1299"\n'
    text += f"simulated = {str(simulated).lower()}\n[instrument.options]\n{options}"
    return build_instruments(parse_rig(text)).entry("eeg")


def test_a_made_up_chip_is_asked_for_and_says_so() -> None:
    entry = rig(True, 'channels = 2\nlabels = ["Fz", "Cz"]')
    (spec,) = entry.instrument.stream_specs()
    assert spec.simulated
    assert [(c.name, c.dtype, c.unit) for c in spec.channels] == [
        ("Fz", "int32", "V"), ("Cz", "int32", "V"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("simulated", "options", "words"),
    [
        (False, "", "found neither"),
        (True, f'link = "{__name__}:made"', "found both"),
        (False, 'link = "no.such.module:link"', "cannot be loaded"),
        (False, 'link = "json:__doc__"', "a link is a callable"),
    ],
)
def test_a_link_or_a_made_up_chip_one_of_the_two(simulated: bool, options: str, words: str) -> None:
    assert words in rig(simulated, options).error


def test_labels_must_fit() -> None:
    with pytest.raises(ConfigError, match="labels must be as many as channels, 2"):
        rig(True, 'channels = 2\nlabels = ["Fz", "Fz"]')
