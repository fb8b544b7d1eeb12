"""Questions and answers over a serial line: one at a time, each with a deadline, never mixed up.

A reply that comes after its deadline must not be taken for the answer to the next question.
So after a timeout, and whenever the port is opened, the line is brought into step: a question
whose answer cannot be mistaken (who are you?) is asked, and all that comes before its answer is
thrown away. The same answer shows that the device at the other end is still the same one.
"""

import threading
import time
from collections.abc import Callable, Sequence

from ringdaq.errors import InstrumentError, InstrumentTimeoutError, NotConnectedError
from ringdaq.instruments.links.serial_port import SerialPort


class LineLink:
    """A line to one device, perhaps with several instruments on it."""

    def __init__(
        self,
        open_port: Callable[[], SerialPort],
        *,
        who: str,
        identify: Callable[[str], str],
        deadline_secs: float,
    ) -> None:
        self._open_port = open_port
        self._who = who
        """The question after the identity."""
        self._identify = identify
        """The identity in a line that answers it, `""` in any other line."""
        self._deadline_secs = deadline_secs
        self._lock = threading.Lock()
        self._port: SerialPort | None = None
        self._in_step = False
        self.identity = ""
        """What the device said of itself when it was first asked."""

    def connect(self) -> str:
        """Open the port and ask who is there; returns the identity."""
        with self._lock:
            try:
                self._ready()
            except InstrumentError:
                self._drop()
                raise
            return self.identity

    def transact(self, lines: Sequence[str], *, replies: int) -> list[str]:
        """Send lines and return so many reply lines, within the deadline.

        Raises `InstrumentTimeoutError` if they do not come, `NotConnectedError` if nobody is there.
        """
        with self._lock:
            try:
                port = self._ready()
                for line in lines:
                    port.write_line(line)
                return self._replies(port, lines, replies)
            except NotConnectedError:
                self._drop()
                raise

    def urgent(self, line: str) -> None:
        """Send a line that has no reply at once, past whatever transaction is under way."""
        port = self._port
        if port is None:
            raise NotConnectedError(f"nobody is there to be told {line!r}; connect it again")
        port.write_line(line)

    def distrust(self) -> None:
        """Bring the line into step before the next transaction: a reply made no sense."""
        self._in_step = False

    def close(self) -> None:
        """Let go of the port, after the transaction under way."""
        with self._lock:
            self._drop()

    def _replies(self, port: SerialPort, lines: Sequence[str], count: int) -> list[str]:
        found: list[str] = []
        deadline = time.monotonic() + self._deadline_secs
        while len(found) < count:
            try:
                line = port.read_line(deadline)
            except TimeoutError:
                self._in_step = False
                raise InstrumentTimeoutError(
                    f"{' '.join(lines)!r} should be answered within {self._deadline_secs:g} s; "
                    f"found {found or 'nothing'}; check power and cable: {port.path}"
                ) from None
            # A late answer to who-are-you is never the answer to anything else.
            if not self._identify(line):
                found.append(line)
        return found

    def _ready(self) -> SerialPort:
        if self._port is None:
            self._port = self._open_port()
            self._in_step = False
        if not self._in_step:
            self._get_in_step(self._port)
            self._in_step = True
        return self._port

    def _get_in_step(self, port: SerialPort) -> None:
        port.drop_received()
        # An empty line ends whatever half a command the device may hold.
        port.write_line("")
        port.write_line(self._who)
        deadline = time.monotonic() + self._deadline_secs
        while True:
            try:
                line = port.read_line(deadline)
            except TimeoutError:
                raise InstrumentTimeoutError(
                    f"the device should say who it is ({self._who!r}) within "
                    f"{self._deadline_secs:g} s and does not; check power, cable, speed and "
                    f"handshake (rtscts): {port.path}"
                ) from None
            if identity := self._identify(line):
                self._check_identity(identity, port)
                return

    def _check_identity(self, identity: str, port: SerialPort) -> None:
        if self.identity and identity != self.identity:
            raise NotConnectedError(
                f"another device answers now: it should say {self.identity!r} and says "
                f"{identity!r}; plug in the first one, or restart with this one: {port.path}"
            )
        self.identity = identity

    def _drop(self) -> None:
        if self._port is not None:
            self._port.close()
        self._port, self._in_step = None, False
