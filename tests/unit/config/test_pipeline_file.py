"""A pipeline's text: what it says, and what it is refused for, with the line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from ringdaq.config import load_pipeline, parse_pipeline, parse_rig
from ringdaq.config.values import parse_rate
from ringdaq.errors import ConfigError

TEXT = """\
version = 1
name = "eeg"

[[stage]]
name = "in"
type = "ring_source"
stream = "raw"

[[stage]]
type = "notch"
frequency_hz = 50

[[stage]]
type = "ring_sink"
input = ["in", "notch"]

[pool.default]
samples = 100

[[connection]]
from = "in"
to = "notch"
capacity = 4
policy = "drop_oldest"

[preset.america.notch]
frequency_hz = 60
"""


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_pipeline(text, Path("/lab/eeg.toml"))
    return str(caught.value)


def test_a_pipeline_knows_its_parts() -> None:
    config = parse_pipeline(TEXT, Path("/lab/eeg.toml"))
    assert (config.name, config.text) == ("eeg", TEXT)
    assert [stage.called for stage in config.stages] == ["in", "notch", "ring_sink"]
    assert config.stages[0].parameters == {"stream": "raw"}
    assert config.stages[2].inputs == ["in", "notch"]
    assert config.body.pools["default"].samples == 100
    assert config.body.connections[0].policy == "drop_oldest"
    assert config.resolve("filter.py") == Path("/lab/filter.py")


def test_without_a_name_it_is_called_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "my eeg.toml").write_text('[[stage]]\ntype = "pass"\n')
    assert load_pipeline(tmp_path / "my eeg.toml").name == "my_eeg"


def test_a_preset_changes_parameters_and_their_lines_and_the_hash() -> None:
    config = parse_pipeline(TEXT)
    other = config.with_preset("america")
    assert config.stages[1].parameters == {"frequency_hz": 50}
    assert other.stages[1].parameters == {"frequency_hz": 60}
    assert other.line(("stage", 1, "frequency_hz")) == 27
    assert (other.preset, config.preset) == ("america", "")
    assert len({config.hash, other.hash, parse_pipeline(TEXT + "#").hash}) == 3


def test_a_preset_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'america'"):
        parse_pipeline(TEXT).with_preset("amerika")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("version = 1", "version = 2", 1, "input should be 1"),
        ("version = 1", "versoin = 1", 1, "did you mean 'version'?"),
        ('type = "notch"', 'typ = "notch"', 9, "'stage[1].type' is missing"),
        ('name = "in"', 'name = "my.in"', 5, "letters, digits"),
        ('name = "in"', 'name = "notch"', 10, "the name of another stage already (line 5)"),
        ('name = "in"', 'on_error = "ignore"', 5, "'stop', 'bypass' or 'restart'"),
        ('name = "in"', 'pool = "wide"', 5, "no pool 'wide'"),
        ('name = "in"', "latency_secs = 0", 5, "greater than 0"),
        ('name = "in"', 'stage_type = "dataplane"', 5, "'data_plane' or 'control_plane'"),
        ("samples = 100", "samples = 0", 18, "greater than or equal to 1"),
        ("samples = 100", "sampels = 100", 18, "did you mean 'samples'?"),
        ("capacity = 4", "capacity = 0", 23, "greater than or equal to 1"),
        ('"drop_oldest"', '"drop"', 24, "'block', 'drop_oldest'"),
        ('to = "notch"', 'too = "notch"', 20, "'connection[0].to' is missing"),
        ("preset.america.notch", "preset.america.nitch", 26, "did you mean 'notch'?"),
        ("frequency_hz = 60", 'type = "pass"', 27, "cannot change 'type'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, line: int, said: str) -> None:
    text = refusal(TEXT.replace(old, new))
    assert f"line {line}: " in text
    assert said in text
    assert "/lab/eeg.toml" in text


def test_several_problems_are_told_at_once() -> None:
    text = refusal(TEXT.replace("capacity = 4", "capacity = 0").replace("version", "versoin"))
    assert text.startswith("2 errors in the pipeline file:")


def test_a_text_without_stages_is_refused() -> None:
    assert "a pipeline needs stages" in refusal("version = 1\n")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the pipeline file cannot be read"):
        load_pipeline(tmp_path / "none.toml")


# --- inline in a rig file

RIG = '[rig]\nname = "bench"\n\n'
INLINE = """\
[[pipeline.clean.stage]]
type = "ring_source"
stream = "raw"

[[pipeline.clean.stage]]
type = "ring_sink"
pool = "big"
"""


def test_a_rig_has_pipelines_in_place_and_in_files(tmp_path: Path) -> None:
    (tmp_path / "eeg.toml").write_text(TEXT)
    text = RIG + '[pipeline.a]\nfile = "eeg.toml"\nuse_preset = "america"\nstart = false\n' + INLINE
    rig = parse_rig(text.replace('pool = "big"\n', ""), tmp_path / "rig.toml")
    assert [rig.pipelines[name].start for name in ("a", "clean")] == [False, True]
    assert (rig.pipeline("a").name, rig.pipeline("a").preset) == ("a", "america")
    assert [stage.called for stage in rig.pipeline("clean").stages] == ["ring_source", "ring_sink"]
    with pytest.raises(ConfigError, match="no pipeline 'cleen'; did you mean 'clean'"):
        rig.pipeline("cleen")


def test_a_problem_of_a_pipeline_in_a_rig_has_the_rig_files_line() -> None:
    with pytest.raises(ConfigError, match="line 10: no pool 'big'"):
        parse_rig(RIG + INLINE)


def test_a_rigs_pipeline_is_a_file_or_stages() -> None:
    with pytest.raises(ConfigError, match=r"line 4: .*either file or stages"):
        parse_rig(RIG + "[pipeline.a]\nstart = true\n")


# --- rates


def test_rates_are_exact() -> None:
    assert parse_rate(250) == 250
    assert parse_rate(0.1) == Fraction(1, 10)
    assert parse_rate("3000/7") == Fraction(3000, 7)


@pytest.mark.parametrize("written", [0, -1, True, "x", "1/0", None, [], 1e300])
def test_what_is_no_rate_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="write a rate in hertz"):
        parse_rate(written)
