"""How large rings are made, whether they fit, and whether they then hold what was asked for."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ringdaq.cli.rig_rings import rings_of
from ringdaq.config import load_rig, parse_rig
from ringdaq.daemon.old_rings import OldRings
from ringdaq.daemon.sizing import check_limit, plan
from ringdaq.errors import ConfigError, RingSpaceError
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import RingDirectory, StreamWriter, file_bytes, record_bytes

EXAMPLE = Path(__file__).parents[3] / "examples/rigs/time_travel.toml"
GIB = 1 << 30
SCALAR = StreamSpec("scalar", "rows", (Channel("x", "float64"),))
EEG = StreamSpec(
    "eeg", "samples", tuple(Channel(f"c{i}", "float32") for i in range(8)), Fraction(250)
)
CAMERA = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(64, 64)),))
MIXED = StreamSpec(
    "mixed", "rows", (Channel("a", "int16"), Channel("b", "bool"), Channel("s", "string"))
)


def rig(streams="", daemon=""):
    return parse_rig(f'[rig]\nname = "r"\n[daemon]\n{daemon}\n{streams}')


def write(writer, rows):
    spec, row = writer.spec, rows
    if spec.kind == "samples":
        writer.write_block(0, np.zeros((rows, len(spec.channels)), np.float32))
    elif spec.kind == "frames":
        writer.write_frame(0, np.zeros(spec.channels[0].shape, np.uint16))
    elif spec is MIXED:
        columns = {"a": [1] * row, "b": [True] * row, "s": ["sixteen letters!"] * row}
        writer.write_rows([0] * row, columns)
    else:
        writer.write_rows([0] * row, {"x": [0.0] * row})


@pytest.mark.parametrize("spec", [SCALAR, EEG, CAMERA, MIXED], ids=lambda spec: spec.name)
@pytest.mark.parametrize("rows", [1, 7, 100])
def test_sizes_are_those_of_real_rings(tmp_path, spec, rows):
    rows = 1 if spec.kind == "frames" else rows
    with StreamWriter.create(tmp_path, spec, capacity_bytes=100_000) as writer:
        write(writer, rows)
        assert writer.statistics().used_bytes == record_bytes(spec, rows)
    assert writer.path.stat().st_size == file_bytes(spec, 100_000)


def test_five_minutes_of_everything_fit_into_8_gib():
    planned = rings_of(load_rig(EXAMPLE))
    assert planned.not_counted == ()
    rings = {stream.ring.stream: stream.ring for stream in planned.streams}
    assert {name: ring.rows_per_sec for name, ring in rings.items()} == {
        "eeg": 4000,
        "camera": 30,
        "power_meter": 10_000,
    }
    assert all(ring.full_secs == pytest.approx(300) for ring in rings.values())
    data = 300 * (32 * 4000 * 4 + 512 * 512 * 2 * 30 + 10_000 * 16)
    assert data < planned.file_bytes <= 8 * GIB


def test_rings_sized_in_minutes_hold_as_long(tmp_path):
    """The same streams for six seconds instead of five minutes: each ring laps and holds them."""
    secs, loaded = 6, load_rig(EXAMPLE)
    for stream in rings_of(loaded).streams:
        size = round(stream.ring.bytes_per_sec * secs)
        with StreamWriter.create(tmp_path, stream.spec, capacity_bytes=size) as writer:
            fill(writer, stream.ring.rows_per_sec, 1.5 * secs)
            found = writer.statistics()
            assert found.oldest_sequence > 0
            # Less than the oldest record, and the filler at the end of the region.
            assert found.held_secs > secs - 0.1
            assert found.full_secs == pytest.approx(secs, rel=0.05)
        writer.path.unlink()


def fill(writer, rate, secs):
    spec, block = writer.spec, round(rate / 40)
    if spec.kind == "samples":
        samples = np.zeros((block, len(spec.channels)), spec.channels[0].dtype)
        for number in range(int(secs * 40)):
            writer.write_block(number * 25_000_000, samples)
        return
    values = [np.zeros(c.shape, c.dtype) if c.shape else 0 for c in spec.channels]
    put = writer.write_frame if spec.kind == "frames" else writer.append
    for number in range(int(secs * rate)):
        put(int(number * 1e9 / rate), *values)


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        (SCALAR, "", 4 << 20),
        (SCALAR, '[stream.scalar]\ncapacity_bytes = "3 MiB"', 3 << 20),
        (SCALAR, "[stream.scalar]\nminutes = 2\nrate_hz = 100", 120 * 100 * record_bytes(SCALAR)),
        (CAMERA, "[stream.camera]\nminutes = 1\nrate_hz = 10", 600 * record_bytes(CAMERA)),
        (EEG, "[stream.eeg]\nminutes = 1", int(60 * 250 / 6 * record_bytes(EEG, 6))),
    ],
)
def test_a_ring_is_as_large_as_the_rig_file_says(spec, text, expected):
    assert plan(spec, rig(text)).capacity_bytes == pytest.approx(expected, abs=1)


def test_minutes_without_a_rate_are_refused():
    with pytest.raises(ConfigError, match="rate_hz"):
        plan(CAMERA, rig("[stream.camera]\nminutes = 1"))


def test_more_than_the_limit_is_refused_with_numbers():
    limited = rig('[stream.scalar]\ncapacity_bytes = "3 MiB"', 'ring_limit_bytes = "2 MiB"')
    wanted = file_bytes(SCALAR, 3 << 20)
    with pytest.raises(RingSpaceError) as caught:
        check_limit([plan(SCALAR, limited)], limited)
    assert f"need {wanted} bytes (scalar {wanted})" in str(caught.value)
    assert f"allows {2 << 20}" in str(caught.value)


def test_more_than_there_is_is_refused_with_the_largest(tmp_path):
    sizes = "".join(f'[stream.{n}]\ncapacity_bytes = "1{n} GiB"\n' for n in range(10_000, 10_005))
    specs = [StreamSpec(str(n), "rows", SCALAR.channels) for n in range(10_000, 10_005)]
    with pytest.raises(RingSpaceError, match=r"largest: 10004 \d+, 10003 \d+, 10002 \d+, 2 more"):
        OldRings(RingDirectory(tmp_path), set).make_room([plan(s, rig(sizes)) for s in specs])
