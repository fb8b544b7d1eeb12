"""Two stages for `own_stages.toml`."""

import numpy as np

from ringdaq import native_stage


class Blinks:
    """Takes out packets in which a frontal channel swings widely."""

    name = "blinks"
    description = "Counts packets in which a channel swings widely, and sets them to zero."

    def __init__(self, channel: int = 0, limit: float = 100e-6) -> None:
        self.channel, self.limit = channel, limit
        self.seen = 0

    def process(self, view):
        if np.ptp(view.channel(self.channel)) < self.limit:
            return None
        self.seen += 1
        return np.zeros_like(view.data)


@native_stage(state="channels")
def smooth(inp, out, state, alpha=0.1):
    """Smooths each channel exponentially."""
    for s in range(inp.shape[0]):
        for c in range(inp.shape[1]):
            state[c] += alpha * (inp[s, c] - state[c])
            out[s, c] = state[c]
