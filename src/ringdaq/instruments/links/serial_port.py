"""A serial port that speaks in lines and waits no longer than it is told."""

import select
import threading
import time
from typing import Any

from ringdaq.errors import InstrumentTimeoutError, MissingExtraError, NotConnectedError

LONGEST_LINE = 4096


def _serial() -> Any:
    try:
        import serial
    except ImportError:
        raise MissingExtraError(
            "talking to serial instruments needs pyserial; install it with: "
            "pip install 'ringdaq[serial]'",
            extra="serial",
        ) from None
    return serial


class SerialPort:
    """An open port, 8 data bits, no parity, 1 stop bit.

    One thread reads; any thread may write a line, and lines of several threads do not mix.
    """

    def __init__(self, path: str, *, baud_rate: int, rtscts: bool, terminator: bytes) -> None:
        self.path = path
        self._terminator = terminator
        self._received = b""
        self._writing = threading.Lock()
        try:
            # Exclusive: two programs on one port would steal each other's replies.
            self._port = _serial().Serial(
                path, baudrate=baud_rate, rtscts=rtscts, timeout=0, write_timeout=1.0,
                exclusive=True,
            )  # fmt: skip
        except OSError as error:
            raise NotConnectedError(
                f"the serial port cannot be opened: {_reason(error)}: {path}"
            ) from error

    def write_line(self, text: str) -> None:
        """Send one line."""
        try:
            with self._writing:
                self._port.write(text.encode("ascii") + self._terminator)
        except _serial().SerialTimeoutException:
            raise InstrumentTimeoutError(
                f"{text!r} could not be sent within 1 s: the other end holds CTS back; check that "
                f"it is on and that the cable carries RTS and CTS: {self.path}"
            ) from None
        except (OSError, TypeError, ValueError) as error:
            raise self._gone(error) from error

    def read_line(self, deadline: float) -> str:
        """The next line, without its end; `deadline` is a `time.monotonic()` time.

        Raises `TimeoutError` if no whole line has come by then.
        """
        while True:
            line, found, rest = self._received.partition(b"\n")
            if found:
                self._received = rest
                return line.strip(b"\r").decode("ascii", errors="replace")
            # Noise without line ends must not be kept for ever.
            self._received = self._received[-LONGEST_LINE:] + self._receive(deadline)

    def _receive(self, deadline: float) -> bytes:
        left = deadline - time.monotonic()
        try:
            ready, _, _ = select.select([self._port.fileno()], [], [], max(0.0, left))
            if not ready:
                raise TimeoutError
            received: bytes = self._port.read(max(1, self._port.in_waiting))
        except TimeoutError:
            raise
        except (OSError, TypeError, ValueError) as error:
            raise self._gone(error) from error
        return received

    def drop_received(self) -> None:
        """Forget what came in and was not read."""
        self._received = b""
        try:
            self._port.reset_input_buffer()
        except (OSError, TypeError, ValueError) as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Let go of the port."""
        self._port.close()

    def _gone(self, error: Exception) -> NotConnectedError:
        return NotConnectedError(
            f"the serial port is gone ({error}); plug it in again and try again: {self.path}"
        )


def _reason(error: OSError) -> str:
    """What to do about a port that does not open."""
    text = str(error)
    if "No such file" in text:
        return "there is no such device; check the cable, and the port's name in the rig file"
    if "Permission" in text:
        return "this user may not use it; join the group that owns it (often 'dialout')"
    if "lock" in text or "busy" in text.lower():
        return "another program has it open; close that first"
    return text
