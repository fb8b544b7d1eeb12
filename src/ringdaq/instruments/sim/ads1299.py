"""An ADS1299 that is made up, down to its registers and the bytes on its line."""

import threading
from collections.abc import Callable, Collection
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ringdaq.clock import NANOS_PER_SEC, now_nanos
from ringdaq.instruments.drivers import ads1299_chip as chip
from ringdaq.instruments.drivers.ads1299_chip import Command, Register
from ringdaq.instruments.sim.brain import Brain
from ringdaq.instruments.timing import Timer

RESET_VALUES = bytes([chip.CHIP_ID, 0x96, 0xC0, 0x60, 0x00, *[0x61] * 8, *[0] * 7, 0x0F, 0, 0, 0])
AHEAD = 256
"""Voltages that are made together: one by one they would take longer than a conversion."""
Volts = Callable[[int, Fraction], npt.NDArray[Any]]
"""The eight inputs in volts at a conversion's number and rate."""


class SimulatedAds1299:
    """An SPI link with a chip at its end; the inputs are a simulated EEG, or what a test gives."""

    def __init__(
        self,
        timer: Timer,
        *,
        vref: float = 4.5,
        volts: Volts | None = None,
        missing: Collection[int] = (),
    ) -> None:
        """`missing` are the numbers of conversions whose data-ready nobody sees."""
        self._timer = timer
        self._vref = vref
        self._volts = volts or _Head()
        self._missing = missing
        self._began = 0.0
        self._began_nanos = 0
        self._seen = -1
        self._reset()

    def _reset(self) -> None:
        self.registers = bytearray(RESET_VALUES)
        self.continuous = True
        """Whether it sends data whenever it is clocked, and takes no register commands."""
        self.standby = False
        self.converting = False

    @property
    def rate(self) -> int:
        """Conversions a second."""
        code = self.registers[Register.CONFIG1] & 0b111
        return next(rate for rate, found in chip.RATE_CODES.items() if found == code)

    # --- the line

    def transfer(self, sent: bytes) -> bytes:
        """Take a command, or give a frame while data come continuously."""
        head = sent[0]
        if head == 0:
            return self._frame() if self.continuous else bytes(len(sent))
        if not (self._obey(head) or self.continuous):
            return self._access(sent)
        return bytes(len(sent))

    def ready(self, timeout_secs: float) -> list[int]:
        """When conversions ended since the last call; waits for the next one if there are none."""
        if not self.converting or self.standby:
            self._timer.wait_until_set(threading.Event(), timeout_secs)
            return []
        left = self._due(self._seen + 1) - self._timer.now()
        if left > 0:
            self._timer.wait_until_set(threading.Event(), min(left, timeout_secs))
        newest = self._newest()
        numbers = [n for n in range(self._seen + 1, newest + 1) if n not in self._missing]
        self._seen = max(self._seen, newest)
        return [self._began_nanos + (n + 1) * NANOS_PER_SEC // self.rate for n in numbers]

    def close(self) -> None:
        """Nothing is held."""

    # --- the chip

    def _due(self, number: int) -> float:
        return self._began + (number + 1) / self.rate

    def _newest(self) -> int:
        """The number of the conversion that ended last, -1 before the first."""
        passed = self._timer.now() - self._began
        # What was waited for is there, whatever the last bit of a float says.
        return int(passed * self.rate + 1e-6) - 1

    def _obey(self, command: int) -> bool:
        """Carry out a command of one byte; returns whether it was one."""
        match command:
            case Command.RESET:
                self._reset()
            case Command.RDATAC:
                self.continuous = True
            case Command.SDATAC:
                self.continuous = False
            case Command.STANDBY | Command.WAKEUP:
                self.standby = command == Command.STANDBY
            case Command.START:
                self.converting, self._seen = True, -1
                self._began, self._began_nanos = self._timer.now(), now_nanos()
            case Command.STOP:
                self.converting = False
            case _:
                return False
        return True

    def _access(self, sent: bytes) -> bytes:
        """Read or write registers, or read one frame."""
        if sent[0] == Command.RDATA:
            return b"\0" + self._frame()[: len(sent) - 1]
        first, count = sent[0] & 0x1F, sent[1] + 1
        if sent[0] & 0xE0 == Command.RREG:
            return bytes(2) + bytes(self.registers[first : first + count])
        if sent[0] & 0xE0 == Command.WREG:
            for place, value in enumerate(sent[2 : 2 + count], start=first):
                if Register.ID < place < chip.REGISTERS:
                    self.registers[place] = value
        return bytes(len(sent))

    def _frame(self) -> bytes:
        """The newest conversion; the same again until there is another."""
        volts = self._volts(max(0, self._newest()), Fraction(self.rate))
        return chip.encode_frame(
            np.array([self._code(place, float(volt)) for place, volt in enumerate(volts)])
        )

    def _code(self, place: int, volts: float) -> int:
        """What the converter makes of an input, at its gain and within its scale."""
        setting = self.registers[Register.CH1SET + place]
        if setting & 0x87:  # switched off, or its inputs joined to something else
            return 0
        gain = next(g for g, code in chip.GAIN_CODES.items() if code == setting >> 4)
        code = round(volts / chip.volts_per_code(self._vref, gain))
        return max(-chip.FULL_SCALE, min(chip.FULL_SCALE - 1, code))


class _Head:
    """Somebody who sits still: the same voltages as the simulated EEG has."""

    def __init__(self) -> None:
        self._brain: Brain | None = None
        self._block: npt.NDArray[Any] = np.empty((0, chip.CHANNELS))
        self._first = 0

    def __call__(self, number: int, rate: Fraction) -> npt.NDArray[Any]:
        if self._brain is None:
            self._brain = Brain(
                chip.CHANNELS, rate, line_hz=50.0, line_uv=5.0, noise_uv=1.0, seed=0
            )
        if not self._first <= number < self._first + len(self._block):
            self._first, self._block = number, self._brain.rows(number, AHEAD) * 1e-6
        row: npt.NDArray[Any] = self._block[number - self._first]
        return row
