"""Single values out of records: each channel's own, whatever the channels are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ringdaq.gateway.batch import RingBatch
from ringdaq.gateway.ring_files import Place, Ring
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamReader, StreamWriter


def test_an_image_that_is_called_samples_is_no_block_of_them(ring_directory: Path) -> None:
    image = Channel("samples", "uint16", shape=(3,))
    spec = StreamSpec("spectrometer", "frames", (image, Channel("gain", "float64")))
    writer = StreamWriter.create(ring_directory, spec, capacity_bytes=1 << 16)
    writer.write_frame(5, np.array([7, 8, 9], np.uint16), 2.5)
    with StreamReader.open(writer.path) as reader:
        batch = RingBatch(Ring(Place(writer.path, 0, writer.generation), spec, b""))
        batch.add(reader.read(0))
    writer.close()
    (name, column), *others = batch.columns.items()
    assert (name, others) == ("gain", [])
    assert (column.times.tolist(), column.values.tolist()) == ([5], [2.5])
