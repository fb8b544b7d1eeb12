"""The lines over which instruments are spoken to."""
