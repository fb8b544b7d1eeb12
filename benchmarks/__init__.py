"""Benchmarks: every figure beside its physical limit or a peer, measured in the same run."""
