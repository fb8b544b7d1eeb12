"""`python -m ringdaq.cli` is `ringdaq`."""

from ringdaq.cli import main

main()
