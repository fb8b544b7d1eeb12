"""`ringdaq streams | tail` on rings that this test writes."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from canned_daemon import serving

from ringdaq.cli.streams import rows_of
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

METER = StreamSpec(
    "meter", "rows", (Channel("power", "float64", "W"), Channel("note", "string")), simulated=True
)
EEG = StreamSpec(
    "eeg", "samples", (Channel("a", "int16"), Channel("b", "int16")), Fraction(1000, 3)
)
CAMERA = StreamSpec("camera", "frames", (Channel("image", "uint16", shape=(2, 3)),))


def write(directory: Path, spec: StreamSpec) -> StreamWriter:
    return StreamWriter.create(directory, spec, capacity_bytes=1 << 20)


@pytest.fixture
def daemon(state):
    with serving(state, {}) as daemon:
        yield daemon


def test_the_list_says_what_flows_and_who_writes(shell, state, daemon) -> None:
    meter, eeg = write(state, METER), write(state, EEG)
    meter.append(1, 0.5, "x")
    eeg.write_block(1, np.zeros((10, 2), np.int16))
    eeg.close()
    text = shell("streams").stdout
    assert "meter (simulated)" in text
    found = {s["name"]: s for s in json.loads(shell("streams", "--json").stdout)}
    assert found["eeg"]["statistics"]["rows"] == 10
    assert found["eeg"]["statistics"]["closed"] is True
    assert found["meter"]["statistics"]["writer_alive"] is True
    meter.close()


def test_the_list_says_how_far_back_the_rings_reach(shell, tmp_path) -> None:
    eeg = write(tmp_path, EEG)
    for second in range(60):
        eeg.write_block(second * 10**9, np.zeros((333, 2), np.int16))
    lines = shell("streams", "--rings", tmp_path).stdout.splitlines()
    assert lines[0].split()[3:8] == ["rows", "rows_per_sec", "holds", "full", "size"]
    assert lines[1].split()[4:7] == ["19980", "333", "60"]
    assert lines[-1].endswith(f"of 1.0 MiB in use: {tmp_path}")
    [found] = json.loads(shell("streams", "--rings", tmp_path, "--json").stdout)
    numbers = found["statistics"]
    assert numbers["held_secs"] == pytest.approx(60, rel=0.01)
    assert numbers["full_secs"] == pytest.approx(60 * (1 << 20) / numbers["used_bytes"], rel=0.01)
    eeg.close()


def test_rings_of_another_daemon_are_named_by_their_place(shell, tmp_path) -> None:
    with write(tmp_path, METER) as writer:
        writer.append(7, 0.5, "x")
        result = shell("tail", "meter", "--rings", tmp_path, "--seconds", "0.1")
    assert result.exit_code == 0


def read_all(directory: Path, spec: StreamSpec) -> list[dict]:
    from ringdaq.streams import RingDirectory, StreamReader

    with StreamReader.open(RingDirectory(directory).newest(spec.name)) as reader:
        return [row for record in reader.follow("oldest", timeout=5) for row in rows_of(record)]


def test_a_row_of_numbers_and_texts_keeps_what_is_missing(tmp_path) -> None:
    with write(tmp_path, METER) as writer:
        writer.append(7, 0.5, "x")
        writer.append(8, None, None)
        writer.close()
    assert read_all(tmp_path, METER) == [
        {"time": 7, "power": 0.5, "note": "x"},
        {"time": 8, "power": None, "note": None},
    ]


def test_samples_come_with_the_exact_time_of_each_row(tmp_path) -> None:
    writer = write(tmp_path, EEG)
    writer.write_block(0, np.array([[1, 2], [3, 4]], np.int16))
    writer.close()
    assert read_all(tmp_path, EEG) == [
        {"time": 0, "samples": [1, 2]},
        {"time": 3_000_000, "samples": [3, 4]},
    ]


def test_a_frame_is_told_by_its_shape_and_range(tmp_path) -> None:
    writer = write(tmp_path, CAMERA)
    writer.write_frame(5, np.arange(6, dtype=np.uint16).reshape(2, 3))
    writer.close()
    image = {"shape": [2, 3], "least": 0, "mean": 2.5, "greatest": 5}
    assert read_all(tmp_path, CAMERA) == [{"time": 5, "image": image}]


def test_an_unknown_stream_is_refused(shell, state, daemon) -> None:
    write(state, METER).close()
    result = shell("tail", "metre", "--seconds", "0.1")
    assert result.exit_code == 2
    assert "meter" in result.stderr
