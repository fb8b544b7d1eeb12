"""Where packets come from: simulated and recorded signals, LSL, BrainFlow, instruments."""
