"""Rules for what moves."""

from functools import partial

from ringdaq.errors import InstrumentFaultError, InstrumentTimeoutError, LimitError
from ringdaq.testing.conformance.subject import NOT_NUMBERS, Check, Subject, beside, must, refused


def has_a_unit(subject: Subject) -> None:
    unit = subject.instrument.position_unit
    must(isinstance(unit, str) and unit, "position_unit must be a unit's symbol")


def refuses_what_is_no_number(subject: Subject) -> None:
    stage = subject.instrument
    before = stage.position()
    for value in (*NOT_NUMBERS, True, "1"):
        refused(partial(stage.move_abs, value), f"move_abs({value!r}) is no move", LimitError)
        refused(partial(stage.move_rel, value), f"move_rel({value!r}) is no move", LimitError)
    must(stage.position() == before, "a refused move must not move anything")


def arrives_and_reads_back(subject: Subject) -> None:
    stage = subject.instrument
    for target in subject.positions:
        stage.move_abs(target)
        stage.wait_settled(subject.deadline_secs)
        must_be_at(subject, target)


def moves_by_a_distance(subject: Subject) -> None:
    stage = subject.instrument
    _go(subject, subject.positions[0])
    stage.move_rel((subject.positions[1] - subject.positions[0]) / 2)
    stage.wait_settled(subject.deadline_secs)
    must_be_at(subject, sum(subject.positions) / 2)


def rest_is_noticed_at_once(subject: Subject) -> None:
    _go(subject, subject.positions[0])
    subject.instrument.wait_settled(subject.deadline_secs)


def waits_no_longer_than_told(subject: Subject) -> None:
    stage = subject.instrument
    _go(subject, subject.positions[0])
    stage.move_abs(subject.positions[1])
    try:
        stage.wait_settled(1e-6)
    except InstrumentTimeoutError:
        pass
    else:
        must_be_at(subject, subject.positions[1])
    stage.wait_settled(subject.deadline_secs)


def stop_ends_a_wait_in_another_thread(subject: Subject) -> None:
    stage = subject.instrument
    _go(subject, subject.positions[0])
    stage.move_abs(subject.positions[1])
    waiting = beside(lambda: stage.wait_settled(subject.deadline_secs))
    stage.stop()
    must(waiting.ended(subject.deadline_secs), "stop() must end a wait for rest")
    must(
        waiting.error is None or isinstance(waiting.error, InstrumentFaultError),
        f"a wait that is cut short raises InstrumentFaultError; it raised {waiting.error!r}",
    )
    stage.wait_settled(subject.deadline_secs)
    here = stage.position()
    must(abs(stage.position() - here) <= subject.tolerance, "what was stopped must rest")


def stop_at_rest_does_no_harm(subject: Subject) -> None:
    _go(subject, subject.positions[0])
    subject.instrument.stop()
    subject.instrument.stop()
    _go(subject, subject.positions[1])
    must_be_at(subject, subject.positions[1])


def safe_is_at_rest(subject: Subject) -> None:
    stage = subject.instrument
    _go(subject, subject.positions[0])
    stage.move_abs(subject.positions[1])
    stage.make_safe()
    stage.wait_settled(subject.deadline_secs)
    here = stage.position()
    must(abs(stage.position() - here) <= subject.tolerance, "make_safe() must end motion")


def must_be_at(subject: Subject, target: float) -> None:
    """The position as read back must be a target's, within the tolerance."""
    here = subject.instrument.position()
    must(isinstance(here, float), f"position() must be a float; found {here!r}")
    must(
        abs(here - target) <= subject.tolerance,
        f"it should rest at {target:g} ± {subject.tolerance:g}; found {here:g}",
    )


def _go(subject: Subject, target: float) -> None:
    subject.instrument.move_abs(target)
    subject.instrument.wait_settled(subject.deadline_secs)


CHECKS = tuple(
    Check("Movable", rule)
    for rule in (
        has_a_unit,
        refuses_what_is_no_number,
        arrives_and_reads_back,
        moves_by_a_distance,
        rest_is_noticed_at_once,
        waits_no_longer_than_told,
        stop_ends_a_wait_in_another_thread,
        stop_at_rest_does_no_harm,
        safe_is_at_rest,
    )
)
