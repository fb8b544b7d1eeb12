"""The transforms of graphs, and how each becomes stages of the core."""
