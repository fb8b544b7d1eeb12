"""What the ADS1299 understands: commands, registers, and its frames of 27 bytes."""

from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

CHANNELS = 8
FRAME_BYTES = 27
FULL_SCALE = 2**23
"""Codes from zero to the end of the scale, which is vref / gain."""
CHIP_ID = 0x3E


class Command(IntEnum):
    """Bytes that are commands."""

    WAKEUP = 0x02
    STANDBY = 0x04
    RESET = 0x06
    START = 0x08
    STOP = 0x0A
    RDATAC = 0x10
    SDATAC = 0x11
    RDATA = 0x12
    RREG = 0x20
    """With the first register's address; then their number less one."""
    WREG = 0x40
    """Likewise, and then the values."""


class Register(IntEnum):
    """Addresses."""

    ID = 0x00
    CONFIG1 = 0x01
    CONFIG2 = 0x02
    CONFIG3 = 0x03
    LOFF = 0x04
    CH1SET = 0x05
    BIAS_SENSP = 0x0D
    BIAS_SENSN = 0x0E
    LOFF_SENSP = 0x0F
    LOFF_SENSN = 0x10
    GPIO = 0x14
    MISC1 = 0x15
    CONFIG4 = 0x17


REGISTERS = 0x18
RATE_CODES = MappingProxyType({16_000: 0, 8_000: 1, 4_000: 2, 2_000: 3, 1_000: 4, 500: 5, 250: 6})
"""The low bits of CONFIG1 by samples a second."""
GAIN_CODES = MappingProxyType({1: 0, 2: 1, 4: 2, 6: 3, 8: 4, 12: 5, 24: 6})
"""Bits 4 to 6 of CHnSET by gain."""
POWERED_DOWN = 0x81
"""CHnSET of a channel that is not used: off, its inputs shorted."""


def volts_per_code(vref: float, gain: int) -> float:
    """Volts a code: (vref / gain) / 2^23."""
    return vref / gain / FULL_SCALE


def decode_frames(frames: bytes) -> npt.NDArray[np.int32]:
    """Whole frames as codes [rows, 8]: three bytes each, the high one first, two's complement."""
    rows = np.frombuffer(frames, np.uint8).reshape(-1, FRAME_BYTES)
    high, middle, low = rows[:, 3:].reshape(-1, CHANNELS, 3).astype(np.int32).transpose(2, 0, 1)
    # Up to the top of 32 bits and down again, so that the sign goes along.
    codes: npt.NDArray[np.int32] = (high << 24 | middle << 16 | low << 8) >> 8
    return codes


def encode_frame(codes: npt.NDArray[Any], status: int = 0xC00000) -> bytes:
    """A frame of eight codes, as the chip sends it."""
    words = [status, *(int(code) & 0xFFFFFF for code in codes)]
    return b"".join(word.to_bytes(3, "big") for word in words)


def in_step(frame: bytes) -> bool:
    """Whether it begins as every frame does: with the bits 1100."""
    return len(frame) == FRAME_BYTES and frame[0] >> 4 == 0b1100
