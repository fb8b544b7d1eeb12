"""A board that BrainFlow knows as a source: synthetic, played back from a file, or real."""

from __future__ import annotations

import warnings
from fractions import Fraction
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ringdaq.clock import NANOS_PER_SEC, wall_step_nanos
from ringdaq.config import FilePath, Section, nearest
from ringdaq.errors import MissingExtraError, NotConnectedError, StreamError
from ringdaq.instruments.drivers.edf_file import unique_names
from ringdaq.model import Channel
from ringdaq.pipeline.parts import Feed, PacketFormat, RefusedError, Site
from ringdaq.pipeline.sources.counts import Conversion, conversion
from ringdaq.pipeline.sources.gathering import Gatherer
from ringdaq.pipeline.sources.time_line import TimeLine

BUFFER_SECS = 60
"""What BrainFlow keeps for a pipeline that has no room."""


class BrainFlowBoard:
    """The electrodes of a board, in volts; packages that never came are counted.

    BrainFlow has no call that waits for samples, so they are asked for every few milliseconds.
    """

    connects = True

    class Options(Section):
        """Of a `brainflow`."""

        board: str = "synthetic"
        """`synthetic`, `playback`, or BrainFlow's name of a board, such as `cyton`."""
        file: FilePath | None = None
        """What `playback` plays, as BrainFlow wrote it."""
        master_board: str = ""
        """The board that the file of `playback` is from."""
        serial_port: str = ""
        """Of boards with one."""
        mac_address: str = ""
        """Of boards with Bluetooth."""
        ip_address: str = ""
        """Of boards in a network."""
        ip_port: Annotated[int, Field(ge=0, le=65535)] = 0
        """Likewise."""
        signals: Literal["eeg", "emg", "ecg", "eog"] = "eeg"
        """Which of the board's channels."""
        samples: Annotated[int, Field(ge=1, le=100_000)] | None = None
        """Rows of a packet; without it, as many as 20 ms hold."""
        poll_secs: Annotated[float, Field(ge=0.001, le=1)] = 0.005
        """How often to ask for samples."""
        package_numbers: Annotated[int, Field(ge=0)] = 256
        """How many numbers packages have before they begin at 0 again; 0 does not look at them."""
        tolerance_secs: Annotated[float, Field(gt=0, le=10)] = 0.1
        """A stamp further than this from where it is due begins a new stretch; hosts stamp packages
        as they arrive, many at once."""
        silence_secs: Annotated[float, Field(gt=0, le=3600)] = 5.0
        """How long nothing may come before the source fails, or a playback has ended."""

    def __init__(self, options: Options, site: Site) -> None:
        self._options, self._site = options, site
        self._board: Any = None
        self._about: dict[str, Any] = {}
        self._conversion: Conversion | None = None
        self._gathered = Gatherer(1)
        self._last_number: int | None = None
        self.line = TimeLine(Fraction(1), 0)
        """Where the samples lie, and what is missing."""

    def format(self) -> PacketFormat:
        """Open the board and let it begin."""
        shim = brainflow_library()
        played = self._options.board == "playback"
        known = _board_id(shim, self._options.master_board if played else self._options.board)
        self._about = shim.BoardShim.get_board_descr(known)
        columns = self._columns()
        rate = Fraction(self._about["sampling_rate"])
        self.line = TimeLine(rate, int(self._options.tolerance_secs * NANOS_PER_SEC))
        rows = self._options.samples or max(1, round(rate / 50))
        self._gathered = Gatherer(rows)
        labels = self._about.get("eeg_names", "").split(",")
        names = labels if len(labels) == len(columns) else [""] * len(columns)
        channels = [Channel(name, "float64", unit="uV") for name in unique_names(names)]
        self._conversion = conversion(channels)
        self._open(shim, _board_id(shim, self._options.board), known)
        return PacketFormat(
            kind=self._conversion.kind,
            channels=self._conversion.channels,
            samples=rows,
            rate=rate,
            simulated=self._options.board == "synthetic",
        )

    def run(self, feed: Feed) -> None:
        """Hand in full packets, and at the end, whatever it is, a shorter one."""
        try:
            self._run(feed)
        finally:
            if self._gathered.rows:
                self._hand_in(feed, *self._gathered.take())

    def _run(self, feed: Feed) -> None:
        silent_secs = 0.0
        while not feed.stopping:
            found = self._board.get_board_data(self._gathered.missing).T
            if self._gathered.add(found, found[:, self._about["timestamp_channel"]]):
                self._hand_in(feed, *self._gathered.take())
            if len(found):
                silent_secs = 0.0
                continue
            silent_secs += self._options.poll_secs
            if silent_secs >= self._options.silence_secs:
                self._end()
                return
            feed.wait(self._options.poll_secs)

    def statistics(self) -> dict[str, int]:
        """Gaps and lost samples so far."""
        return self.line.counts()

    def close(self) -> None:
        board, self._board = self._board, None
        if board is not None and board.is_prepared():
            board.release_session()

    def _columns(self) -> list[int]:
        columns: list[int] = self._about.get(f"{self._options.signals}_channels", [])
        if not columns:
            raise RefusedError(
                f"the board {self._about['name']!r} has no {self._options.signals} channels",
                "signals",
            )
        return columns

    def _open(self, shim: Any, board: int, master: int) -> None:
        options, params = self._options, shim.BrainFlowInputParams()
        params.serial_port, params.mac_address = options.serial_port, options.mac_address
        params.ip_address, params.ip_port = options.ip_address, options.ip_port
        if options.board == "playback":
            if options.file is None:
                raise RefusedError("a playback needs the file to play", "file")
            params.file, params.master_board = str(self._site.resolve(options.file)), master
        self._board = shim.BoardShim(board, params)
        try:
            self._board.prepare_session()
            self._board.start_stream(int(BUFFER_SECS * self.line.rate))
        except shim.BrainFlowError as error:
            raise NotConnectedError(
                f"BrainFlow cannot open the board {options.board!r}: {error}"
            ) from error

    def _end(self) -> None:
        """A playback that is silent has ended; any other board has failed."""
        if self._options.board != "playback":
            raise StreamError(
                f"nothing came from the board {self._options.board!r} for "
                f"{self._options.silence_secs:g} s; is it still switched on and in reach?"
            )

    def _hand_in(self, feed: Feed, rows: npt.NDArray[Any], stamps: npt.NDArray[np.float64]) -> None:
        assert self._conversion is not None
        values = self._conversion(rows[:, self._columns()])
        nanos = np.rint(stamps * NANOS_PER_SEC).astype(np.int64) - wall_step_nanos()
        for begin, end, lost in self._unbroken(rows):
            if lost:
                self.line.lose(lost)
            for first, until, origin, at in self.line.place_all(nanos[begin:end]):
                feed.write(values[begin + first : begin + until], origin, at)

    def _unbroken(self, rows: npt.NDArray[Any]) -> list[tuple[int, int, int]]:
        """Parts without a lost package: first row, end, and how many were lost before it."""
        period, place = self._options.package_numbers, self._about.get("package_num_channel")
        if not period or place is None:
            return [(0, len(rows), 0)]
        numbers = rows[:, place].astype(np.int64)
        last = numbers[0] - 1 if self._last_number is None else self._last_number
        steps = np.diff(numbers, prepend=last) % period
        self._last_number = int(numbers[-1])
        # Samples of one package have one number.
        cuts = [0, *(int(at) for at in np.flatnonzero(steps > 1) if at), len(rows)]
        lost = [max(0, int(steps[at]) - 1) for at in cuts[:-1]]
        return list(zip(cuts[:-1], cuts[1:], lost, strict=True))


def brainflow_library() -> Any:
    """The module `brainflow.board_shim`; `MissingExtraError` where it is not installed."""
    try:
        with warnings.catch_warnings():
            # It looks its library up in a way that its own maker calls old.
            warnings.simplefilter("ignore")
            from brainflow import board_shim

            board_shim.BoardShim.disable_board_logger()
    except ImportError as error:
        raise MissingExtraError(
            "BrainFlow boards need brainflow; install it with: pip install 'ringdaq[brainflow]'",
            extra="brainflow",
        ) from error
    return board_shim


def _board_id(shim: Any, name: str) -> int:
    own = {"synthetic": "SYNTHETIC_BOARD", "playback": "PLAYBACK_FILE_BOARD"}
    known = {board.name.removesuffix("_BOARD").lower(): board for board in shim.BoardIds}
    found = getattr(shim.BoardIds, own[name]) if name in own else known.get(name.lower())
    if found is None:
        raise RefusedError(f"BrainFlow knows no board {name!r}; {nearest(name, known)}", "board")
    return int(found.value)
