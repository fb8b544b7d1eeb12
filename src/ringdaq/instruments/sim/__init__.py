"""Instruments that make their values up, on purpose and marked so."""
