"""Channels as people name them."""

from __future__ import annotations

from ringdaq.config import nearest
from ringdaq.pipeline.parts import PacketFormat, RefusedError

ChannelName = str | int
"""Its name, or its place from 0."""


def index_of(channel: ChannelName, given: PacketFormat, key: str) -> int:
    """A channel's place among the packets' channels."""
    names = [one.name for one in given.channels]
    if isinstance(channel, int):
        if not 0 <= channel < len(names):
            raise RefusedError(f"no channel {channel}; there are {len(names)}, counted from 0", key)
        return channel
    if channel not in names:
        raise RefusedError(f"no channel {channel!r}; {nearest(channel, names)}", key)
    return names.index(channel)
