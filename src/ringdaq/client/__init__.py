"""The Python way in: sync and async clients, zero-copy attach."""
