"""What `ringdaq history` prints of rows and of bins."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from ringdaq.cli import history as history_command
from ringdaq.cli.history import history
from ringdaq.model import Channel, StreamSpec
from ringdaq.streams import StreamWriter

COUNTER = StreamSpec(
    "counter",
    "rows",
    (
        Channel("count", "int64"),
        Channel("voltage", "float64", unit="V"),
        Channel("small", "float32"),
        Channel("word", "string"),
    ),
)
ROW = (123456789012, 1234567.0, 0.1, "beam on")


@pytest.fixture
def shell(ring_directory, tmp_path, monkeypatch):
    """Runs the command beside a ring with one row over and over."""
    found = SimpleNamespace(ring_directory=ring_directory, data_directory=Path(tmp_path))
    monkeypatch.setattr(history_command, "find_daemon", lambda: found)
    with StreamWriter.create(ring_directory, COUNTER, capacity_bytes=1 << 16) as ring:
        for number in range(20):
            ring.append(1_000 + number, *ROW)

        def run(*arguments):
            done = CliRunner().invoke(history, ["counter", *arguments])
            assert done.exit_code == 0, done.output
            return done.output

        yield run


def test_an_exact_row_has_all_its_digits(shell):
    lines = shell("--exact").splitlines()
    assert len(lines) == 20
    told = dict(cell.split("=") for cell in lines[0].split("  ")[1:])
    assert told == {
        "count": "123456789012", "voltage": "1234567.0", "small": "0.1", "word": "beam on",
    }  # fmt: skip
    assert float(told["voltage"]) == ROW[1]
    assert np.float32(told["small"]) == np.float32(ROW[2])


def test_a_bin_has_whole_numbers_whole_and_fractions_short(shell):
    line = shell("--points", "8").splitlines()[0]
    assert "count=123456789012…123456789012" in line
    assert "voltage=1.23457e+06…1.23457e+06" in line
