"""Where packets go beside rings: LSL, CSV, EDF and BDF files."""
