"""One suite that every instrument must pass.

```python
from ringdaq.testing.conformance import Subject, assert_conforms

assert_conforms(Subject(MyStage("stage"), positions=(0.0, 5.0)))
```
"""

from ringdaq.instruments import capabilities_of
from ringdaq.testing.conformance import acquisition, motion, state
from ringdaq.testing.conformance.subject import Check, Subject

__all__ = ["CHECKS", "Check", "Subject", "assert_conforms", "checks_for"]

CHECKS: tuple[Check, ...] = (*state.CHECKS, *motion.CHECKS, *acquisition.CHECKS)
"""Every rule of every capability."""


def checks_for(instrument: object) -> list[Check]:
    """The rules that concern an instrument, or a class of instruments, by its capabilities."""
    capabilities = {"Safe", *capabilities_of(instrument)}
    return [check for check in CHECKS if check.capability in capabilities]


def assert_conforms(subject: Subject) -> None:
    """Check all rules that concern an instrument; one `AssertionError` lists those it breaks."""
    broken = []
    for check in checks_for(subject.instrument):
        try:
            check.run(subject)
        except Exception as error:
            broken.append(f"  {check}: {error}")
    if broken:
        rules = "\n".join(broken)
        raise AssertionError(f"{subject.instrument.name} breaks {len(broken)} rules:\n{rules}")
