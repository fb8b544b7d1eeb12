"""The Newport ESP300 controller: its commands, its error queue, its units."""

import math
import threading
from collections.abc import Callable

from ringdaq.errors import ConfigError, InstrumentFaultError, NotConnectedError
from ringdaq.instruments.links.line_link import LineLink
from ringdaq.instruments.links.serial_port import SerialPort

WHO = "VE?"
UNIT_CODES = {
    "mm": 2, "um": 3, "in": 4, "deg": 7, "rad": 9, "mrad": 10, "urad": 11,
}  # fmt: skip
"""What `SN?` answers for each unit that a position may have here."""
_ERRORS_HELD = 10


class Controller:
    """One controller on one port, shared by the instruments that are its axes."""

    def __init__(
        self,
        open_port: Callable[[], SerialPort],
        *,
        deadline_secs: float,
        line: tuple[object, ...] = (),
    ) -> None:
        self.line = line
        """How the line is set, for comparison with what another axis asks for."""
        self._link = LineLink(open_port, who=WHO, identify=_identity, deadline_secs=deadline_secs)
        self._owners: dict[int, str] = {}
        # The device has one error queue for all axes; what is another axis's waits here for it.
        self._waiting: dict[int, list[str]] = {}
        self._errors = threading.Lock()
        self._drained = False

    def connect(self, *, simulated: bool) -> None:
        """Ask who is there, and hold it against what the rig says; forget errors of the past."""
        identity = self._link.connect()
        if ("simulator" in identity) != simulated:
            wanted = "a simulator (simulated = true)" if simulated else "a real device"
            remedy = "leave simulated out" if simulated else "write simulated = true"
            self._link.close()
            raise NotConnectedError(
                f"the rig asks for {wanted}; found {identity!r}: {remedy}, or change the port"
            )
        if not self._drained:
            self._drain()
            self._drained = True

    def claim(self, axis: int, name: str) -> None:
        """Give an axis to one instrument."""
        owner = self._owners.setdefault(axis, name)
        if owner != name:
            raise ConfigError(f"{name} and {owner} both ask for axis {axis}; each needs its own")

    @property
    def identity(self) -> str:
        """The device's own words about itself."""
        return self._link.identity

    def ask(self, axis: int, query: str) -> str:
        """The reply to a query of an axis."""
        return self._link.transact([f"{axis}{query}"], replies=1)[0].strip()

    def number(self, axis: int, query: str) -> float:
        """A reply that must be a number; anything else is a fault, never a value."""
        reply = self.ask(axis, query)
        try:
            value = float(reply)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self._nonsense(axis, query, reply, "a number")
        return value

    def flag(self, axis: int, query: str) -> bool:
        """A reply that must be 0 or 1."""
        reply = self.ask(axis, query)
        if reply not in ("0", "1"):
            raise self._nonsense(axis, query, reply, "0 or 1")
        return reply == "1"

    def command(self, axis: int, text: str) -> None:
        """Give a command that has no reply, and ask whether there was an error."""
        reply = self._link.transact([f"{axis}{text}", "TB?"], replies=1)[0]
        self._note(reply)
        self._raise_errors(axis, f"{axis}{text}")

    def check(self, axis: int, what: str) -> None:
        """Raise what went wrong on an axis since it was last asked."""
        self._note(self._link.transact(["TB?"], replies=1)[0])
        self._raise_errors(axis, what)

    def halt(self, axis: int) -> None:
        """Stop an axis now, past whatever else is being said."""
        self._link.urgent(f"{axis}ST")

    def close(self) -> None:
        """Let go of the port."""
        self._link.close()

    def _drain(self) -> None:
        for _ in range(_ERRORS_HELD + 1):
            if _error_code(self._link.transact(["TB?"], replies=1)[0]) == 0:
                break
        self._waiting.clear()

    def _note(self, reply: str) -> None:
        """File an error, and all that wait behind it, by axis; codes below 100 concern all."""
        for _ in range(_ERRORS_HELD + 1):
            code = _error_code(reply)
            if code is None:
                self._link.distrust()
                raise InstrumentFaultError(
                    f"'TB?' should be answered by 'code, time, message'; found {reply!r}"
                )
            if code == 0:
                return
            with self._errors:
                self._waiting.setdefault(code // 100, []).append(reply.strip())
            reply = self._link.transact(["TB?"], replies=1)[0]

    def _raise_errors(self, axis: int, what: str) -> None:
        with self._errors:
            found = [*self._waiting.pop(0, []), *self._waiting.pop(axis, [])]
        if found:
            raise InstrumentFaultError(
                f"{what!r} was refused; the device says {'; '.join(map(repr, found))}"
            )

    def _nonsense(self, axis: int, query: str, reply: str, wanted: str) -> InstrumentFaultError:
        self._link.distrust()
        return InstrumentFaultError(
            f"'{axis}{query}' should be answered by {wanted}; found {reply!r}; "
            f"check the cable and try again"
        )


def _identity(line: str) -> str:
    _, model, rest = line.partition("ESP300")
    return f"{model}{rest.rstrip()}" if model else ""


def _error_code(reply: str) -> int | None:
    """The code of an answer to `TB?`, `None` for what is no such answer."""
    code, comma, _ = reply.partition(",")
    return int(code) if comma and code.strip().isdigit() else None
