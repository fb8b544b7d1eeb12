"""Text that a terminal can show without obeying it."""

from __future__ import annotations

_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
}


def visible(text: str) -> str:
    r"""The text with its control characters written out, as in `\x1b`; lines and tabs stay."""
    return text.translate(_CONTROLS)
