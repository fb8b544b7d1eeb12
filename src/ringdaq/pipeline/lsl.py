"""What both ends of LSL share: the library and its clock."""

from __future__ import annotations

from typing import Any

from ringdaq.clock import NANOS_PER_SEC, boot_anchor
from ringdaq.errors import MissingExtraError

# MNE-LSL writes powers of ten of the channel type's unit, which for EEG is the volt.
_POWERS = {"0": "V", "-3": "mV", "-6": "uV", "-9": "nV", "none": ""}


def unit_of(said: str) -> str:
    """A unit as ringdaq writes it, from a channel's description."""
    return _POWERS.get(said.strip(), said.strip())


def lsl_library() -> Any:
    """The module `mne_lsl.lsl`; `MissingExtraError` where it is not installed."""
    try:
        from mne_lsl import lsl, set_log_level
    except ImportError as error:
        raise MissingExtraError(
            "LSL streams need mne-lsl; install it with: pip install 'ringdaq[lsl]'", extra="lsl"
        ) from error
    set_log_level("ERROR")
    return lsl


def lsl_secs(nanos: int) -> float:
    """A time of ringdaq's clock on LSL's clock of this machine.

    Both are the kernel's monotonic clock, so the boot's anchor is all that lies between them.
    """
    return (nanos - boot_anchor()) / NANOS_PER_SEC
