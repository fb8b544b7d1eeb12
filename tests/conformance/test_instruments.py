"""Every driver that is shipped passes the suite that driver authors run."""

import edfio
import numpy as np
import pytest

from ringdaq.config import parse_rig
from ringdaq.instruments import build_instruments
from ringdaq.testing.conformance import CHECKS, Subject, assert_conforms, checks_for
from ringdaq.testing.esp300 import Esp300Simulator

RIG = """\
[rig]
name = "conformance"

[[instrument]]
name = "subject"
driver = "{driver}"
simulated = {simulated}
{limits}
[instrument.options]
{options}
"""


class OwnTime:
    """A clock that only those who wait turn, so that a busy machine makes no reader late."""

    def __init__(self):
        self.time = 0.0

    def now(self):
        return self.time

    def wait_for(self, changed, seconds):
        self.time += seconds

    def wait_until_set(self, event, seconds):
        self.time += max(0.0, seconds)
        return event.wait(0.0001)


def subject_of(driver, *, options="", limits="", simulated=True, timer=None):
    text = RIG.format(
        driver=driver, options=options, limits=limits, simulated=str(simulated).lower()
    )
    registry = build_instruments(parse_rig(text), timer=timer)
    return registry, Subject(registry.get("subject"), positions=(0.0, 3.0), simulated=simulated)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("edf") / "recording.edf"
    values = np.arange(400, dtype=np.int16)
    signals = [edfio.EdfSignal.from_digital(values + n, 200, label=f"E{n}") for n in range(4)]
    edfio.Edf(signals).write(path)
    return path


@pytest.fixture(scope="module")
def esp300():
    with Esp300Simulator() as simulator:
        yield simulator


@pytest.fixture(
    scope="module",
    params=[
        *("stage", "instant_stage", "camera", "power_meter", "eeg", "ads1299", "esp300"),
        "edf_replay",
    ],
)
def subject(request, recording, esp300):
    limits = "limits = { position = [-5, 5] }"
    subjects = {
        "stage": ("simulated.stage", {"limits": limits, "options": "velocity = 50"}),
        "instant_stage": ("simulated.stage", {"limits": limits, "options": "mode = 'instant'"}),
        "camera": ("simulated.camera", {"options": "exposure = 0.002\nreadout_secs = 0.001"}),
        "power_meter": ("simulated.power_meter", {}),
        "eeg": ("simulated.eeg", {"options": "channels = 4\nrate_hz = 1000"}),
        "ads1299": ("ti.ads1299", {"options": "channels = 4", "timer": OwnTime()}),
        "esp300": (
            "newport.esp300",
            {"limits": limits, "options": f"port = '{esp300.port}'\naxis = 2\nrtscts = false"},
        ),
        "edf_replay": ("replay.edf", {"options": f"file = '{recording}'", "simulated": False}),
    }
    driver, rest = subjects[request.param]
    registry, subject = subject_of(driver, **rest)
    yield subject
    registry.close()


@pytest.mark.parametrize("check", CHECKS, ids=str)
def test_keeps_the_rule(subject, check):
    if check in checks_for(subject.instrument):
        check.run(subject)


def test_every_capability_of_the_shipped_drivers_has_rules():
    from ringdaq.instruments import VERBS

    assert {check.capability for check in CHECKS} == set(VERBS)


class Careless:
    """Breaks rules."""

    name = "careless"
    position_unit = "mm"

    def __init__(self):
        self._position = 0.0

    def move_abs(self, position):
        self._position = position

    def move_rel(self, distance):
        self._position += distance

    def position(self):
        return self._position

    def wait_settled(self, timeout):
        pass

    def stop(self):
        pass

    def settings(self):
        return {"velocity": 10.0}

    def configure(self, **knobs):
        pass

    def make_safe(self):
        pass


def test_broken_rules_are_named():
    with pytest.raises(AssertionError) as caught:
        assert_conforms(Subject(Careless()))
    said = str(caught.value)
    assert "careless breaks" in said
    assert "Movable: refuses what is no number" in said
    assert "Configurable: settings fit into a file" in said
    assert "Configurable: refuses settings it does not have" in said
    assert "Readable" not in said
