"""Where samples come from: capabilities, links, drivers, simulated instruments."""
