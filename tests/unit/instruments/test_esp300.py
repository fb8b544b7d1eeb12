import subprocess
import sys
import threading

import pytest

from ringdaq.config import parse_rig
from ringdaq.errors import (
    InstrumentFaultError,
    InstrumentTimeoutError,
    LimitError,
    NotConnectedError,
)
from ringdaq.instruments import build_instruments
from ringdaq.testing.esp300 import Esp300Simulator
from ringdaq.testing.esp300_model import Esp300Model


def rig_for(port, *, axes=(1,), simulated=True, **options):
    text = '[rig]\nname = "test"\n'
    options = {"port": f'"{port}"', "rtscts": "false", "deadline_secs": 0.3, **options}
    for axis in axes:
        text += (
            f'[[instrument]]\nname = "axis{axis}"\ndriver = "newport.esp300"\n'
            f"simulated = {str(simulated).lower()}\nlimits = {{ position = [-50, 50] }}\n"
            f"[instrument.options]\naxis = {axis}\n"
        )
        text += "".join(f"{key} = {value}\n" for key, value in options.items())
    return parse_rig(text)


@pytest.fixture
def simulator():
    with Esp300Simulator() as simulator:
        yield simulator


@pytest.fixture
def axis(simulator):
    registry = build_instruments(rig_for(simulator.port))
    yield registry.get("axis1")
    registry.close()


def failure(simulator, **options):
    registry = build_instruments(rig_for(simulator.port, **options))
    entry = registry.entry("axis1")
    registry.close()
    assert entry.instrument is None
    return entry


def test_moves_and_reads_back_where_it_is(axis, simulator):
    axis.move_abs(1.25)
    axis.wait_settled(10.0)
    assert axis.position() == pytest.approx(1.25)
    assert simulator.model.position(1) == pytest.approx(1.25)
    axis.move_rel(-0.5)
    axis.wait_settled(10.0)
    assert axis.position() == pytest.approx(0.75)


def test_motion_done_is_one(axis, simulator):
    axis.move_abs(3.0)
    assert simulator.model.moving(1)
    axis.wait_settled(10.0)
    assert not simulator.model.moving(1)
    axis.wait_settled(0.5)


def test_every_set_command_is_followed_by_the_error_query(axis, simulator):
    axis.move_abs(0.5)
    commands = simulator.lines[simulator.lines.index("1PA0.500000") :]
    assert commands[1] == "TB?"


def test_device_refusal_keeps_its_words(axis):
    with pytest.raises(InstrumentFaultError, match=r"106, .*POSITIVE SOFTWARE LIMIT"):
        axis.move_abs(1000.0)
    axis.move_abs(1.0)


def test_device_error_of_another_axis_waits_for_that_axis(simulator):
    registry = build_instruments(rig_for(simulator.port, axes=(1, 2)))
    one, two = registry.get("axis1"), registry.get("axis2")
    simulator.model.answer("2PA1000")
    one.move_abs(0.1)
    with pytest.raises(InstrumentFaultError, match="AXIS-2"):
        two.move_abs(0.1)
    registry.close()


def test_nan_never_reaches_the_line(axis, simulator):
    before = list(simulator.lines)
    with pytest.raises(LimitError):
        axis.move_abs(float("nan"))
    assert simulator.lines == before


def test_three_axes_share_one_line(simulator):
    registry = build_instruments(rig_for(simulator.port, axes=(1, 2, 3)))
    assert list(registry.links.values()) == [["axis1", "axis2", "axis3"]]
    for number in (1, 2, 3):
        registry.get(f"axis{number}").move_abs(float(number))
    for number in (1, 2, 3):
        axis = registry.get(f"axis{number}")
        axis.wait_settled(10.0)
        assert axis.position() == pytest.approx(number)
    registry.close()


def test_one_axis_has_one_instrument(simulator):
    rig = rig_for(simulator.port, axes=(1, 2))
    text = '[rig]\nname = "t"\n' + "".join(
        f'[[instrument]]\nname = "{name}"\ndriver = "newport.esp300"\nsimulated = true\n'
        f"limits = {{ position = [0, 1] }}\n"
        f'[instrument.options]\nport = "{simulator.port}"\naxis = 1\nrtscts = false\n'
        for name in ("a", "b")
    )
    registry = build_instruments(parse_rig(text, rig.path))
    assert "both ask for axis 1" in registry.entry("b").error
    registry.close()


def test_stop_ends_a_wait_in_another_thread(axis, simulator):
    axis.configure(velocity=1.0)
    axis.move_abs(50.0)
    raised = []

    def wait():
        try:
            axis.wait_settled(60.0)
        except InstrumentFaultError as error:
            raised.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while simulator.lines[-1] != "1MD?":
        threading.Event().wait(0.001)
    axis.stop()
    waiter.join(10.0)
    assert not waiter.is_alive()
    assert "stopped on its way" in str(raised[0])
    assert simulator.model.position(1) < 40.0


def test_stop_overtakes_a_silent_question(simulator):
    registry = build_instruments(rig_for(simulator.port, deadline_secs=1.5))
    axis = registry.get("axis1")
    axis.configure(velocity=1.0)
    axis.move_abs(50.0)
    simulator.drop_next()

    def ask():
        with pytest.raises(InstrumentTimeoutError):
            axis.position()

    asking = threading.Thread(target=ask)
    asking.start()
    while simulator.lines[-1] != "1TP?":
        threading.Event().wait(0.001)
    axis.stop()
    assert asking.is_alive()
    while simulator.lines[-1] != "1ST":
        threading.Event().wait(0.001)
    asking.join(20.0)
    axis.wait_settled(5.0)
    registry.close()


def test_wait_has_a_deadline(axis):
    axis.configure(velocity=1.0)
    axis.move_abs(30.0)
    with pytest.raises(InstrumentTimeoutError, match="still moving"):
        axis.wait_settled(0.05)
    axis.stop()


def test_late_reply_is_never_the_next_answer(axis, simulator):
    axis.move_abs(2.0)
    axis.wait_settled(10.0)
    simulator.delay_next(0.45)  # beyond the deadline of 0.3 s, within the next question's
    with pytest.raises(InstrumentTimeoutError):
        axis.position()
    settings = axis.settings()
    assert settings["velocity"]["value"] == 10.0
    assert axis.position() == pytest.approx(2.0)


def test_garbled_reply_is_a_fault_and_never_a_value(axis, simulator):
    simulator.garble_next(b"1.2?5")
    with pytest.raises(InstrumentFaultError, match="should be answered by a number"):
        axis.position()
    assert axis.position() == 0.0
    simulator.garble_next(b"nan")
    with pytest.raises(InstrumentFaultError):
        axis.position()
    assert axis.position() == 0.0


def test_silence_is_a_timeout_and_then_it_goes_on(axis, simulator):
    simulator.drop_next()
    with pytest.raises(InstrumentTimeoutError, match="within"):
        axis.position()
    assert axis.position() == 0.0


def test_missing_port_is_listed_with_what_to_do(tmp_path):
    entry = failure(type("Gone", (), {"port": tmp_path / "none"}))
    assert isinstance(entry.failure, NotConnectedError)
    assert "no such device" in entry.error
    assert str(tmp_path / "none") in entry.error


def test_port_in_use_is_listed(simulator):
    first = build_instruments(rig_for(simulator.port))
    assert "another program has it open" in failure(simulator).error
    first.close()


def test_wrong_unit_is_refused(simulator):
    simulator.model.axes[1].unit_code = 3
    assert "SN 2" in failure(simulator).error


def test_a_stranger_is_refused(simulator):
    simulator.model.identity = "KEITHLEY 2000"
    assert "should say who it is" in failure(simulator).error


def test_a_simulator_is_not_taken_for_a_device(simulator):
    assert "write simulated = true" in failure(simulator, simulated=False).error


def test_a_device_is_not_taken_for_a_simulator(simulator):
    simulator.model.identity = "ESP300 Version 3.04 07/27/01"
    assert "leave simulated out" in failure(simulator).error


def test_reconnects_to_the_same_device_only(tmp_path):
    link = tmp_path / "port"
    simulator = Esp300Simulator(link=link).start()
    registry = build_instruments(rig_for(link))
    axis = registry.get("axis1")
    simulator.stop()
    with pytest.raises(NotConnectedError):
        axis.position()
    with pytest.raises(NotConnectedError, match="no such device"):
        axis.position()
    with Esp300Simulator(link=link):
        assert axis.position() == 0.0
    with pytest.raises(NotConnectedError):
        axis.position()
    with Esp300Simulator(link=link) as other:
        other.model.identity = "ESP300 Version 2.2 (ringdaq simulator)"
        with pytest.raises(NotConnectedError, match="another device"):
            axis.position()
    registry.close()


def test_settings_carry_units_and_identity(axis):
    settings = axis.settings()
    assert settings["velocity"] == {"value": 10.0, "unit": "mm/s"}
    assert "ESP300 Version" in settings["controller"]["value"]


def test_model_queues_errors():
    model = Esp300Model()
    assert model.answer("XX") == []
    assert model.answer("PA1") == []
    assert model.answer("9PA1") == []
    assert [model.answer("TB?")[0].split(",")[0] for _ in range(4)] == ["6", "37", "9", "0"]
    assert model.answer("1PA1") == []
    assert model.answer("TE?") == ["113"]


def test_model_takes_several_commands_on_a_line():
    assert Esp300Model().answer("1MO;1MO?;1TP?") == ["1", "0.000000"]


def test_the_simulator_is_a_program_too():
    process = subprocess.Popen(
        [sys.executable, "-m", "ringdaq.testing.esp300"], stdout=subprocess.PIPE, text=True
    )
    try:
        port = process.stdout.readline().strip()
        registry = build_instruments(rig_for(port, deadline_secs=5.0))
        assert registry.get("axis1").position() == 0.0
        registry.close()
    finally:
        process.terminate()
        process.stdout.close()
    assert process.wait(30) == 0
