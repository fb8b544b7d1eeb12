"""A process that writes a ring as fast as it can, until it is killed or has written enough.

Each value of record `n` follows from `n` alone, so that a reader can tell a torn or swapped record.
It prints what it has committed, in steps; a reader must find at least that.
"""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

ROWS = StreamSpec(
    "rows", "rows", (Channel("n", "int64"), Channel("square", "float64"), Channel("text", "string"))
)
BLOCKS = StreamSpec(
    "blocks", "samples", tuple(Channel(f"c{i}", "int64") for i in range(8)), Fraction(4000)
)


def block(number: int) -> np.ndarray:
    """All samples of a block are its number; its length varies."""
    return np.full((1 + number * 7919 % 300, 8), number, np.int64)


def text(number: int) -> str | None:
    """A text of varying length; every fifth is missing."""
    return None if number % 5 == 0 else "t" * (number % 97) + str(number)


def write(writer: StreamWriter, number: int) -> None:
    if writer.spec is BLOCKS:
        writer.write_block(number, block(number))
    else:
        writer.append(number, number, float(number) ** 2, text(number))


def main() -> None:
    directory, kind, capacity, count = sys.argv[1:5]
    spec = ROWS if kind == "rows" else BLOCKS
    with StreamWriter.create(Path(directory), spec, capacity_bytes=int(capacity)) as writer:
        print(writer.path, flush=True)
        for number in range(int(count)):
            write(writer, number)
            if number % 50 == 0:
                print(number, flush=True)


if __name__ == "__main__":
    main()
