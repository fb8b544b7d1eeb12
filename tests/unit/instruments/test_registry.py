from pathlib import Path

import pytest

from ringdaq.config import parse_rig
from ringdaq.errors import ConfigError, NotConnectedError, UnknownInstrumentError
from ringdaq.instruments import (
    DRIVERS,
    VERBS,
    Driver,
    Movable,
    Readable,
    Safe,
    build_instruments,
    capabilities_of,
    find_driver,
)
from ringdaq.instruments.sim.stage import StageOptions

HEAD = '[rig]\nname = "t"\n'


def stage(name="stage", options=""):
    return (
        f'[[instrument]]\nname = "{name}"\ndriver = "simulated.stage"\nsimulated = true\n'
        f"limits = {{ position = [0, 50] }}\n[instrument.options]\n{options}\n"
    )


def meter(follows):
    return (
        '[[instrument]]\nname = "meter"\ndriver = "simulated.power_meter"\nsimulated = true\n'
        f'[instrument.options]\nfollows = "{follows}"\n'
    )


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        build_instruments(parse_rig(HEAD + text))
    return str(caught.value)


class Broken:
    """Cannot even be made."""

    reading_unit = "V"

    def read(self):
        return 0.0

    def make_safe(self):
        pass


def fail_to_build(site, options):
    raise ZeroDivisionError("a slip")


BROKEN = Driver(Broken, StageOptions, fail_to_build)


def test_entries_say_what_there_is():
    registry = build_instruments(parse_rig(HEAD + stage() + meter("stage")))
    entry = registry.entry("stage")
    assert entry.capabilities == ("Movable", "Configurable", "Safe")
    assert set(VERBS["Movable"]) <= set(entry.verbs)
    assert (entry.unit, entry.limits, entry.simulated) == ("mm", {"position": (0.0, 50.0)}, True)
    assert registry.entry("meter").unit == "W"
    assert registry.links == {"stage": ["stage"], "meter": ["meter"]}
    assert registry.failures == []


def test_what_is_followed_may_come_later_in_the_file():
    registry = build_instruments(
        parse_rig(HEAD + meter("stage") + stage(options='mode = "instant"'))
    )
    moved, followed = registry.get("stage"), registry.get("meter")
    bright = followed.read()
    moved.move_abs(50.0)
    assert followed.read() < bright / 100


def test_what_fails_is_listed_and_the_rest_works():
    place = f"{__name__}:BROKEN"
    broken = f'[[instrument]]\nname = "broken"\ndriver = "{place}"\n'
    registry = build_instruments(parse_rig(HEAD + broken + stage()))
    (failed,) = registry.failures
    assert failed.name == "broken"
    assert "ZeroDivisionError: a slip" in failed.error
    assert failed.capabilities == ("Readable", "Safe")
    assert registry.get("stage").position() == 0.0
    with pytest.raises(NotConnectedError, match="a slip"):
        registry.get("broken")


def test_what_follows_a_failure_fails_with_its_reason():
    broken = f'[[instrument]]\nname = "broken"\ndriver = "{__name__}:BROKEN"\n'
    registry = build_instruments(parse_rig(HEAD + broken + meter("broken")))
    assert "a slip" in registry.entry("meter").error


def test_connecting_again_takes_what_has_come_back(tmp_path, monkeypatch):
    attempts = []

    def build(site, options):
        attempts.append(site.name)
        if len(attempts) == 1:
            raise NotConnectedError("unplugged")
        return Broken()

    monkeypatch.setattr(f"{__name__}.BROKEN", Driver(Broken, StageOptions, build))
    text = f'[[instrument]]\nname = "later"\ndriver = "{__name__}:BROKEN"\n'
    registry = build_instruments(parse_rig(HEAD + text))
    assert registry.entry("later").error == "unplugged"
    entry = registry.connect("later")
    assert (entry.error, entry.unit) == ("", "V")
    assert isinstance(registry.get("later"), Readable)


def test_an_unknown_name_names_the_nearest():
    registry = build_instruments(parse_rig(HEAD + stage()))
    with pytest.raises(UnknownInstrumentError, match="did you mean 'stage'"):
        registry.get("stag")


def test_an_unknown_driver_names_the_nearest():
    text = stage().replace("simulated.stage", "simulated.stge")
    assert "did you mean 'simulated.stage'" in refusal(text)


def test_what_moves_needs_limits():
    message = refusal(stage().replace("limits = { position = [0, 50] }", ""))
    assert "line 3: " in message
    assert "limits = { position = [0.0, 50.0] }" in message


def test_limits_are_of_something_it_has():
    assert "did you mean 'position'" in refusal(stage().replace("position", "positon"))


def test_options_are_checked_with_their_lines():
    message = refusal(stage(options="velocty = 1.0\nacceleration = -1.0"))
    assert (
        "line 9: unknown key 'instrument[0].options.velocty'; did you mean 'velocity'?" in message
    )
    assert "line 10: 'instrument[0].options.acceleration'" in message


def test_following_nobody_is_refused():
    assert "no other instrument 'stge'; did you mean 'stage'" in refusal(stage() + meter("stge"))


def test_a_real_driver_is_not_simulated():
    text = f'[[instrument]]\nname = "x"\ndriver = "{__name__}:BROKEN"\nsimulated = true\n'
    assert "makes nothing up" in refusal(text)


def test_what_is_no_driver_is_refused():
    text = f'[[instrument]]\nname = "x"\ndriver = "{__name__}:HEAD"\n'
    assert "must be a ringdaq.instruments.Driver" in refusal(text)
    assert "cannot be loaded" in refusal(text.replace(":HEAD", ":NOBODY"))


@pytest.mark.parametrize("name", DRIVERS)
def test_every_driver_has_a_safe_state(name):
    driver = find_driver(name)
    assert "Safe" in capabilities_of(driver.instrument)
    assert (driver.made_up is True) == name.startswith("simulated.")


def test_capabilities_are_protocols_too():
    registry = build_instruments(parse_rig(HEAD + stage()))
    assert isinstance(registry.get("stage"), Movable)
    assert isinstance(registry.get("stage"), Safe)
    assert not isinstance(registry.get("stage"), Readable)


def test_the_page_of_capabilities_names_every_verb():
    page = (Path(__file__).parents[3] / "docs/reference/capabilities.md").read_text()
    for capability, verbs in VERBS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{capability}` |")]
        assert all(f"`{verb}(" in row for verb in verbs)
