"""The shell way in."""
