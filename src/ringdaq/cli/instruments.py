"""`ringdaq instruments | read | move`."""

from __future__ import annotations

from typing import Any

import click

from ringdaq.cli.options import as_json, remote_options
from ringdaq.cli.output import data, data_json, say, table
from ringdaq.cli.session import Session, open_session
from ringdaq.errors import MissingCapabilityError, UnknownInstrumentError


@click.command()
@remote_options
@as_json
def instruments(address: str | None, token: str | None, as_json: bool) -> None:
    """List the rig's instruments and what they can do."""
    with open_session(address, token) as session:
        found = session.instruments()
    if as_json:
        data_json(found)
        return
    headings = ["name", "driver", "state", "capabilities", "unit"]
    rows = [
        (i["name"], i["driver"], _state(i), i["capabilities"], i.get("unit") or "") for i in found
    ]
    data(table(headings, rows))


def _state(instrument: dict[str, Any]) -> str:
    state = "connected" if instrument["connected"] else f"failed: {instrument.get('error')}"
    return f"{state}, simulated" if instrument["simulated"] else state


@click.command()
@click.argument("name")
@remote_options
@as_json
def read(name: str, address: str | None, token: str | None, as_json: bool) -> None:
    """Read an instrument once: its reading, or where it stands."""
    with open_session(address, token) as session:
        found = _find(session, name)
        verb = next((v for v in ("read", "position") if v in found["verbs"]), None)
        if verb is None:
            raise MissingCapabilityError(
                f"to be read, {name!r} must be Readable or Movable; "
                f"found {', '.join(found['capabilities']) or 'no capability'}",
                instrument=name,
            )
        value = session.call(name, verb)
    _print_value(name, value, found.get("unit") or "", as_json)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("position", type=float)
@click.option("--relative", is_flag=True, help="Move by POSITION, not to it.")
@click.option(
    "--timeout", type=float, default=60.0, show_default=True, help="Seconds to settle in."
)
@remote_options
@as_json
def move(
    name: str,
    position: float,
    relative: bool,
    timeout: float,
    address: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Move an instrument, wait until it is at rest, and print where it stands.

    POSITION is in the instrument's own unit and may be negative.
    """
    with open_session(address, token) as session:
        found = _find(session, name)
        say(f"moving {name} {'by' if relative else 'to'} {position:g} {found.get('unit') or ''}")
        session.call(name, "move_rel" if relative else "move_abs", position)
        session.call(name, "wait_settled", timeout)
        value = session.call(name, "position")
    _print_value(name, value, found.get("unit") or "", as_json)


def _find(session: Session, name: str) -> dict[str, Any]:
    found = session.instruments()
    for instrument in found:
        if instrument["name"] == name:
            return instrument
    raise UnknownInstrumentError(
        f"an instrument must be one of {', '.join(i['name'] for i in found) or 'none'}; "
        f"found {name!r}",
        instrument=name,
    )


def _print_value(name: str, value: Any, unit: str, as_json: bool) -> None:
    if as_json:
        data_json({"instrument": name, "value": value, "unit": unit})
    else:
        data(f"{value} {unit}".rstrip())
