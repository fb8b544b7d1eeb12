"""Instruments that are really there, and recordings that are played again."""
