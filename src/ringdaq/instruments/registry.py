"""The instruments of a rig: those that answer, and why the others do not."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ringdaq.config import InstrumentConfig, Rig, nearest
from ringdaq.errors import InstrumentError, NotConnectedError, RingdaqError, UnknownInstrumentError
from ringdaq.instruments.capabilities import capabilities_of, verbs_of
from ringdaq.instruments.catalogue import Choice, check_rig
from ringdaq.instruments.driver import Site
from ringdaq.instruments.timing import MonotonicTimer, Timer


@dataclass
class Entry:
    """One instrument of the rig, connected or not."""

    config: InstrumentConfig
    capabilities: tuple[str, ...]
    verbs: tuple[str, ...]
    """What scripts may call."""
    link: str
    """Instruments with one key share a line and are spoken to by one thread."""
    instrument: Any = None
    """`None` while it is not connected."""
    failure: RingdaqError | None = None
    """Why it is not connected."""
    unit: str = ""
    """Of its position, else of its reading; `""` until it is connected."""

    @property
    def name(self) -> str:
        """How scripts call it."""
        return self.config.name

    @property
    def driver(self) -> str:
        """The driver's name in the rig file."""
        return self.config.driver

    @property
    def simulated(self) -> bool:
        """Whether its values are made up."""
        return self.config.simulated

    @property
    def limits(self) -> Mapping[str, tuple[float, float]]:
        """Soft limits by quantity, in its unit."""
        return self.config.limits

    @property
    def error(self) -> str:
        """Why it is not connected, `""` when it is."""
        return str(self.failure) if self.failure is not None else ""


@dataclass
class Registry:
    """All instruments of a rig, by name and in the order of the file."""

    entries: dict[str, Entry] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    """Names of the instruments on each line."""
    _connect: Callable[[str], None] | None = None
    _shared: dict[str, Any] = field(default_factory=dict)

    @property
    def failures(self) -> list[Entry]:
        """What could not be connected."""
        return [e for e in self.entries.values() if e.instrument is None]

    def entry(self, name: str) -> Entry:
        """An instrument of the rig; an `UnknownInstrumentError` names the nearest."""
        if name not in self.entries:
            raise UnknownInstrumentError(
                f"the rig has no instrument {name!r}; {nearest(name, self.entries)}",
                instrument=name,
            )
        return self.entries[name]

    def get(self, name: str) -> Any:
        """A connected instrument; a `NotConnectedError` says why it is not."""
        entry = self.entry(name)
        if entry.instrument is None:
            raise NotConnectedError(
                f"{name} is not connected: {entry.error}; mend that and connect it again",
                instrument=name,
            )
        return entry.instrument

    def connect(self, name: str) -> Entry:
        """Try once more to reach an instrument that is not connected."""
        entry = self.entry(name)
        if entry.instrument is None and self._connect is not None:
            self._connect(name)
        return entry

    def close(self) -> None:
        """Let go of every instrument and line; none of them can be used afterwards."""
        instruments = [e.instrument for e in self.entries.values() if e.instrument is not None]
        for thing in (*instruments, *self._shared.values()):
            close = getattr(thing, "close", None)
            if close is not None:
                # One that will not let go must not keep the others.
                with contextlib.suppress(RingdaqError, OSError):
                    close()
        self._shared.clear()


class _Builder:
    """Connects instruments, those that others follow first."""

    def __init__(self, rig: Rig, choices: Mapping[str, Choice], timer: Timer) -> None:
        self._rig = rig
        self._choices = choices
        self._timer = timer
        self._lock = threading.RLock()
        self._under_way: list[str] = []
        self.registry = Registry(_connect=self.connect)
        for config in rig.instruments:
            self._enter(config, choices[config.name])

    def _enter(self, config: InstrumentConfig, choice: Choice) -> None:
        capabilities = capabilities_of(choice.driver.instrument)
        link = choice.driver.link(config.name, choice.options)
        self.registry.entries[config.name] = Entry(
            config, capabilities, verbs_of(capabilities), link
        )
        self.registry.links.setdefault(link, []).append(config.name)

    def connect(self, name: str) -> None:
        with self._lock:
            entry = self.registry.entries[name]
            if entry.instrument is not None:
                return
            self._under_way.append(name)
            try:
                self._attempt(entry)
            finally:
                self._under_way.remove(name)

    def _attempt(self, entry: Entry) -> None:
        choice = self._choices[entry.name]
        try:
            instrument = choice.driver.build(self._site(entry), choice.options)
        except RingdaqError as error:
            entry.failure = error
        except Exception as error:
            # A driver's slip costs its own instrument, not the rig.
            entry.failure = InstrumentError(
                f"driver {entry.driver!r} failed while it connected {entry.name}: "
                f"{type(error).__name__}: {error}",
                instrument=entry.name,
            )
        else:
            entry.instrument, entry.failure = instrument, None
            entry.capabilities = capabilities_of(instrument)
            entry.verbs = verbs_of(entry.capabilities)
            entry.unit = str(
                getattr(instrument, "position_unit", "") or getattr(instrument, "reading_unit", "")
            )

    def _site(self, entry: Entry) -> Site:
        return Site(
            name=entry.name,
            simulated=entry.simulated,
            share=self._share,
            follow=lambda name: self._follow(entry.name, name),
            resolve=self._rig.resolve,
            timer=self._timer,
        )

    def _share(self, key: str, make: Callable[[], Any]) -> Any:
        if key not in self.registry._shared:
            self.registry._shared[key] = make()
        return self.registry._shared[key]

    def _follow(self, follower: str, name: str) -> Any:
        if name in self._under_way:
            raise InstrumentError(
                f"{follower} cannot follow {name}, which follows {follower} itself; "
                f"take one of the two out",
                instrument=follower,
            )
        self.connect(self.registry.entry(name).name)
        return self.registry.get(name)


Substitute = Callable[[InstrumentConfig, Choice], Choice]


def build_instruments(
    rig: Rig, *, timer: Timer | None = None, substitute: Substitute | None = None
) -> Registry:
    """Connect a rig's instruments; those that cannot be reached are listed with the reason.

    `substitute` may put another driver in the place of the one that the rig asks for.
    Raises a `ConfigError` if the rig itself is wrong, before anything is connected.
    """
    choices = check_rig(rig)
    if substitute is not None:
        choices = {c.name: substitute(c, choices[c.name]) for c in rig.instruments}
    builder = _Builder(rig, choices, timer or MonotonicTimer())
    for config in rig.instruments:
        builder.connect(config.name)
    return builder.registry
