import json
from pathlib import Path

import pytest

from ringdaq.config import load_rig, parse_rig, parse_size, rig_schema
from ringdaq.errors import ConfigError

RIG = """\
[rig]
name = "bench"

[[instrument]]
name = "stage"
driver = "simulated.stage"
simulated = true
limits = { position = [0.0, 50.0] }
"""


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        parse_rig(text, Path("/lab/rig.toml"))
    return str(caught.value)


def test_a_rig_knows_its_parts():
    rig = parse_rig(RIG + '[daemon]\nring_directory = "/dev/shm"\n[stream.eeg]\nminutes = 5\n')
    assert rig.name == "bench"
    assert rig.instruments[0].limits == {"position": (0.0, 50.0)}
    assert rig.daemon.ring_directory == Path("/dev/shm")
    assert rig.streams["eeg"].capacity_for(1000.0) == 300_000
    assert rig.scripts.operations == 10_000
    assert rig.text.startswith("[rig]")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("simulated = true", "simulatd = true", 7, "did you mean 'simulated'?"),
        ('name = "bench"', 'nme = "bench"', 2, "did you mean 'name'?"),
        ("[rig]", "[rgi]", 1, "did you mean 'rig'?"),
        ("[0.0, 50.0]", "[50.0, 0.0]", 8, "lower bound comes first"),
        ("[0.0, 50.0]", "[1.0, 1.0]", 8, "must lie below"),
        ("[0.0, 50.0]", "[0.0]", 8, "both bounds"),
        ("[0.0, 50.0]", "[0.0, nan]", 8, "finite"),
        ("[0.0, 50.0]", "[-inf, 50.0]", 8, "finite"),
        ("[0.0, 50.0]", '["a", 50.0]', 8, "both bounds"),
        ('"stage"', '"my stage"', 5, "variable in scripts"),
        ('"stage"', '"class"', 5, "variable in scripts"),
        ('"stage"', '"sleep"', 5, "hide"),
        ("simulated = true", 'simulated = "yes"', 7, "valid boolean"),
        ("simulated = true", "", 6, "write simulated = true"),
        ("simulated = true", "simulated = false", 7, "write simulated = true"),
        ('driver = "simulated.stage"', "", 4, "'instrument[0].driver' is missing"),
        ("simulated = true", "simulated = true\npoll_hz = nan", 8, "finite"),
        ("simulated = true", "simulated = true\npoll_hz = -1", 8, "greater than or equal"),
        ("[rig]", "[daemon]\ngrpc_port = 70000\n[rig]", 2, "65535"),
        ("[rig]", '[daemon]\nring_capacity_bytes = "4 MiG"\n[rig]', 2, '"64 MiB"'),
        ("[rig]", "[stream.eeg]\n[rig]", 1, "either capacity_bytes or minutes"),
        ("[rig]", "[scripts]\nmodules = 'math'\n[rig]", 2, "list"),
    ],
)
def test_each_error_names_its_line_and_what_would_be_valid(old, new, line, said):
    message = refusal(RIG.replace(old, new, 1))
    assert f"line {line}: " in message
    assert said in message
    assert message.endswith("/lab/rig.toml")


def test_all_errors_are_told_at_once():
    text = RIG.replace("name =", "nme =", 1).replace("[0.0, 50.0]", "[5.0, 0.0]")
    message = refusal(text + '[[instrument]]\nname = "stage"\ndriver = "x"\n')
    assert "errors in the rig file" in message
    assert "'rig.nme'" in message
    assert "line 8: " in message
    assert "line 10: 'instrument[1].name': 'stage' is the name of another instrument" in message


def test_what_is_no_toml_says_where():
    assert "line 2" in refusal("[rig]\nname = \n")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rig(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_named(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_rig(path)


def test_relative_paths_begin_at_the_rig_file(tmp_path):
    path = tmp_path / "rig.toml"
    path.write_text(RIG)
    assert load_rig(path).resolve(Path("a.edf")) == tmp_path / "a.edf"


@pytest.mark.parametrize(
    ("written", "size"),
    [(4096, 4096), ("64 MiB", 2**26), ("1.5 kB", 1500), ("2GiB", 2**31), ("10 B", 10)],
)
def test_sizes(written, size):
    assert parse_size(written) == size


@pytest.mark.parametrize("written", ["", "64", "MiB", "-1 MiB", 0, -5, 1.5, True, None])
def test_what_is_no_size(written):
    with pytest.raises(ValueError, match="size"):
        parse_size(written)


def test_minutes_need_a_rate():
    rig = parse_rig(RIG + "[stream.run]\nminutes = 1\n")
    with pytest.raises(ConfigError, match="write rate_hz too, or capacity_bytes"):
        rig.streams["run"].capacity_for(None)


def test_the_schema_is_json_and_knows_the_keys():
    schema = json.loads(json.dumps(rig_schema()))
    assert set(schema["properties"]) == {
        "rig", "daemon", "instrument", "stream", "pipeline", "scripts", "recording",
    }  # fmt: skip
    assert schema["additionalProperties"] is False
    assert "scripts call it" in json.dumps(schema["$defs"]["InstrumentConfig"])
