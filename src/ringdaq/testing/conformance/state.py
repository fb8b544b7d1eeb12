"""Rules for knobs, shutters, and the safe state."""

import json
from functools import partial

from ringdaq.errors import LimitError
from ringdaq.instruments import capabilities_of
from ringdaq.testing.conformance.subject import NOT_NUMBERS, Check, Subject, beside, must, refused


def has_a_name_and_a_safe_state(subject: Subject) -> None:
    name = subject.instrument.name
    must(isinstance(name, str) and name.isidentifier(), f"name must be a name; found {name!r}")
    must("Safe" in capabilities_of(subject.instrument), "every instrument needs make_safe()")


def make_safe_may_come_twice_and_from_anywhere(subject: Subject) -> None:
    subject.instrument.make_safe()
    subject.instrument.make_safe()
    call = beside(subject.instrument.make_safe)
    must(call.ended(subject.deadline_secs), "make_safe() must return")
    must(call.error is None, f"make_safe() must work from any thread; found {call.error!r}")


def stages_and_unstages_twice(subject: Subject) -> None:
    subject.instrument.stage()
    subject.instrument.stage()
    subject.instrument.unstage()
    subject.instrument.unstage()


def settings_fit_into_a_file(subject: Subject) -> None:
    settings = subject.instrument.settings()
    # allow_nan=False: a setting that is not a number cannot be read back from a file.
    json.dumps(settings, allow_nan=False)
    for name, setting in settings.items():
        must(
            set(setting) == {"value", "unit"} and isinstance(setting["unit"], str),
            f"setting {name!r} must be {{'value': ..., 'unit': '...'}}; found {setting!r}",
        )


def refuses_settings_it_does_not_have(subject: Subject) -> None:
    before = subject.instrument.settings()
    refused(lambda: subject.instrument.configure(no_such_knob=1), "there is no such setting")
    must(subject.instrument.settings() == before, "a refused setting must change nothing")


def keeps_the_exposure_it_is_given(subject: Subject) -> None:
    camera = subject.instrument
    exposure = camera.get_exposure()
    camera.set_exposure(2 * exposure)
    must(abs(camera.get_exposure() / exposure - 2) < 0.1, "get_exposure() must say what was set")
    camera.set_exposure(exposure)


def refuses_an_exposure_that_is_none(subject: Subject) -> None:
    camera = subject.instrument
    before = camera.get_exposure()
    for value in (*NOT_NUMBERS, 0.0, -1.0):
        refused(partial(camera.set_exposure, value), f"an exposure of {value}", LimitError)
    must(camera.get_exposure() == before, "a refused exposure must change nothing")


def tunes_within_its_range(subject: Subject) -> None:
    laser = subject.instrument
    low, high = laser.wavelength_range()
    must(low < high, f"wavelength_range() must be (shortest, longest); found {(low, high)}")
    laser.set_wavelength((low + high) / 2)
    must(low < laser.get_wavelength() < high, "get_wavelength() must say what was set")
    for value in (*NOT_NUMBERS, low - 1, high + 1):
        refused(partial(laser.set_wavelength, value), f"a wavelength of {value}", LimitError)


def shutter_is_shut_when_safe(subject: Subject) -> None:
    shutter = subject.instrument
    shutter.open_shutter()
    must(shutter.is_shutter_open(), "open_shutter() must open")
    shutter.close_shutter()
    must(not shutter.is_shutter_open(), "close_shutter() must close")
    shutter.open_shutter()
    shutter.make_safe()
    must(not shutter.is_shutter_open(), "make_safe() must close the shutter")


def emission_is_off_when_safe(subject: Subject) -> None:
    laser = subject.instrument
    laser.enable_emission()
    must(laser.is_emission_enabled(), "enable_emission() must switch on")
    laser.disable_emission()
    must(not laser.is_emission_enabled(), "disable_emission() must switch off")
    laser.enable_emission()
    laser.make_safe()
    must(not laser.is_emission_enabled(), "make_safe() must switch the emission off")


CHECKS = (
    Check("Safe", has_a_name_and_a_safe_state),
    Check("Safe", make_safe_may_come_twice_and_from_anywhere),
    Check("Stageable", stages_and_unstages_twice),
    Check("Configurable", settings_fit_into_a_file),
    Check("Configurable", refuses_settings_it_does_not_have),
    Check("ExposureControl", keeps_the_exposure_it_is_given),
    Check("ExposureControl", refuses_an_exposure_that_is_none),
    Check("WavelengthTunable", tunes_within_its_range),
    Check("ShutterControl", shutter_is_shut_when_safe),
    Check("EmissionControl", emission_is_off_when_safe),
)
