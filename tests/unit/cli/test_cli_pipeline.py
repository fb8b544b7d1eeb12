"""`ringdaq pipeline check | graph | new-plugin`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import click
import pytest

from ringdaq.cli import pipeline_run

EXAMPLE = Path(__file__).parents[3] / "examples/pipelines/simulated_eeg.toml"
pytestmark = pytest.mark.usefixtures("state")
SVG = "{http://www.w3.org/2000/svg}"


def test_check_says_what_goes_over_each_edge(shell, tmp_path):
    done = shell("pipeline", "check", EXAMPLE, "--rings", tmp_path)
    assert done.exit_code == 0, done.stderr
    assert "the pipeline is right" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["from", "to", "queue", "packets"]
    assert lines[1].split()[:2] == ["board", "to_voltage"]
    assert "raw, 32 channels × 400 samples at 4000 Hz" in lines[1]
    assert all("simulated" in line for line in lines[1:])


def test_check_as_json(shell, tmp_path):
    done = shell("pipeline", "check", EXAMPLE, "--json", "--rings", tmp_path)
    found = json.loads(done.stdout)
    assert (found["pipeline"], found["complete"], len(found["hash"])) == ("simulated_eeg", True, 64)
    assert found["edges"][0]["queue"] == 8


def test_check_tells_what_is_wrong_with_its_line(shell, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(EXAMPLE.read_text().replace("high_hz = 45.0", "high_hz = 4500.0"))
    done = shell("pipeline", "check", file)
    assert done.exit_code == 2
    line = file.read_text().splitlines().index("high_hz = 4500.0") + 1
    assert f"error: line {line}: stage 'bandpass': 4500 Hz is not below half" in done.stderr


def test_check_looks_at_every_preset(shell, tmp_path):
    file = tmp_path / "wrong.toml"
    file.write_text(EXAMPLE.read_text().replace("= 60.0", "= 6000.0"))
    assert shell("pipeline", "check", file).exit_code == 2


def test_a_pipeline_of_a_rig_is_checked_by_name(shell, tmp_path):
    rig = tmp_path / "rig.toml"
    rig.write_text(f'[rig]\nname = "b"\n[pipeline.a]\nfile = "{EXAMPLE}"\n')
    assert shell("pipeline", "check", rig).exit_code == 0
    rig.write_text(rig.read_text() + f'[pipeline.b]\nfile = "{EXAMPLE}"\n')
    assert "say which with --name; the rig has a, b" in shell("pipeline", "check", rig).stderr
    assert shell("pipeline", "check", rig, "--name", "b", "--preset", "america").exit_code == 0


def test_graph_draws_every_stage_apart(shell, tmp_path):
    picture = tmp_path / "eeg.svg"
    assert shell("pipeline", "graph", EXAMPLE, "-o", picture).exit_code == 0
    root = ElementTree.parse(picture).getroot()
    texts = [text.text for text in root.iter(f"{SVG}text")]
    names = {"board", "to_voltage", "bandpass", "notch", "clean", "spectrum", "spectra", "powers"}
    assert names <= set(texts)
    boxes = [
        tuple(float(box.get(key)) for key in ("x", "y", "width", "height"))
        for box in list(root.iter(f"{SVG}rect"))[1:]
    ]
    assert len(boxes) == 9
    width, height = float(root.get("width")), float(root.get("height"))
    for place, (x, y, w, h) in enumerate(boxes):
        assert x >= 0
        assert x + w <= width
        assert y + h <= height
        for x2, y2, w2, h2 in boxes[:place]:
            assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    thick = [line for line in root.iter(f"{SVG}path") if float(line.get("stroke-width")) > 2]
    assert len(thick) == 3
    assert texts.count("8 packets, block") == 3


def test_graph_goes_to_stdout(shell):
    assert shell("pipeline", "graph", EXAMPLE).stdout.startswith("<svg ")


def test_types_are_listed_with_their_keys(shell):
    lines = shell("pipeline", "types").stdout.splitlines()
    assert any(line.split()[:2] == ["bandpass", "transform"] for line in lines)
    keys = json.loads(shell("pipeline", "types", "bandpass", "--json").stdout)
    assert [key["key"] for key in keys[:2]] == ["low_hz", "high_hz"]
    assert next(key["default"] for key in keys if key["key"] == "order") == "4"
    assert shell("pipeline", "types", "pass").exit_code == 0
    assert "did you mean 'notch'?" in shell("pipeline", "types", "noch").stderr


def test_a_rigs_settings_show_those_of_its_stages(shell, tmp_path):
    rig = tmp_path / "rig.toml"
    stage = "[[pipeline.a.stage]]"
    rig.write_text(f'[rig]\nname = "b"\n{stage}\ntype = "notch"\nfrequency_hz = 60.0\n')
    rows = json.loads(shell("config", "show", rig, "--json").stdout)
    key = "pipeline.a.stage[0].frequency_hz"
    assert {"key": key, "value": 60.0, "origin": "file"} in rows


# --- new-plugin


def run(*words: object, cwd: Path, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_new_plugin_passes_its_own_test(shell, tmp_path):
    done = shell("pipeline", "new-plugin", "my_gain", "--directory", tmp_path)
    assert done.exit_code == 0, done.stderr
    folder = tmp_path / "ringdaq-my-gain"
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=folder, path=folder / "src")
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout


def test_a_new_plugin_is_a_type_once_it_is_installed(shell, tmp_path):
    shell("pipeline", "new-plugin", "my_gain", "--directory", tmp_path)
    folder = tmp_path / "ringdaq-my-gain"
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    # What an installer leaves of it.
    info = folder / "src" / "ringdaq_my_gain-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    offers = "".join(
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in entries.items())
        for group, entries in project["entry-points"].items()
    )
    (info / "entry_points.txt").write_text(offers)
    file = folder / "with_eeg.toml"
    text = (folder / "pipeline.toml").read_text()
    file.write_text(
        text.replace('"ring_source"\nstream = "eeg"', '"simulated_eeg"\ndtype = "float32"')
    )
    done = run("-m", "ringdaq.cli", "pipeline", "check", file, cwd=folder, path=folder / "src")
    assert done.returncode == 0, done.stderr
    listed = run(
        "-m", "ringdaq.cli", "pipeline", "types", "my_gain", cwd=folder, path=folder / "src"
    )
    assert listed.stdout.splitlines()[1].split()[:2] == ["gain", "2.0"]
    file.write_text(file.read_text().replace("gain =", "gian ="))
    done = run("-m", "ringdaq.cli", "pipeline", "check", file, cwd=folder, path=folder / "src")
    assert done.returncode == 2
    assert "unknown key 'gian'; did you mean 'gain'?" in done.stderr


@pytest.mark.parametrize("name", ["My", "1a", "a-b", "", "a" * 41])
def test_a_plugins_name_is_a_python_name(shell, tmp_path, name):
    done = shell("pipeline", "new-plugin", name, "--directory", tmp_path)
    assert done.exit_code == 2
    assert "a plugin's name is" in done.stderr


def test_nothing_is_overwritten(shell, tmp_path):
    shell("pipeline", "new-plugin", "a", "--directory", tmp_path)
    done = shell("pipeline", "new-plugin", "a", "--directory", tmp_path)
    assert done.exit_code == 2
    assert "there is something already" in done.stderr


def test_a_stream_that_is_not_there_yet_is_no_mistake(shell, tmp_path):
    file = tmp_path / "later.toml"
    file.write_text(
        '[[stage]]\ntype = "ring_source"\nstream = "x"\n[[stage]]\ntype = "ring_sink"\n'
    )
    done = shell("pipeline", "check", file, "--rings", tmp_path)
    assert done.exit_code == 0
    assert "right as far as can be said without its sources" in done.stderr
    assert "not known until its source is there" in done.stdout
    assert shell("pipeline", "check", file, "--rings", tmp_path, "--connect").exit_code == 2


def test_a_rig_is_checked_with_its_pipelines(shell, tmp_path):
    rig = tmp_path / "rig.toml"
    text = EXAMPLE.read_text().replace("high_hz = 45.0", "high_hz = 4500.0")
    (tmp_path / "eeg.toml").write_text(text)
    rig.write_text('[rig]\nname = "b"\n[pipeline.a]\nfile = "eeg.toml"\n')
    done = shell("config", "check", rig)
    assert done.exit_code == 2
    assert "4500 Hz is not below half" in done.stderr
    assert "eeg.toml" in done.stderr
    (tmp_path / "eeg.toml").write_text(EXAMPLE.read_text())
    assert shell("config", "check", rig).exit_code == 0


def test_a_run_says_what_it_waits_for_and_gives_up_with_it(monkeypatch, capsys):
    looks = []

    def call(method, params):
        assert method == "pipeline.list"
        looks.append(params)
        return [{"name": "p", "state": "waiting", "error": "no LSL stream", "restarts": 0}]

    monkeypatch.setattr(pipeline_run, "READY_SECS", 0.2)
    monkeypatch.setattr(pipeline_run, "POLL_SECS", 0.01)
    control, config = SimpleNamespace(call=lambda m, p=None: call(m, p)), SimpleNamespace(name="p")
    with pytest.raises(click.exceptions.Exit) as caught:
        pipeline_run._Session(control, config, quiet=True)._await_ready()
    assert caught.value.exit_code == 1
    assert len(looks) > 1
    said = capsys.readouterr().err.splitlines()
    assert said == ["waiting: no LSL stream", "error: no LSL stream"]
