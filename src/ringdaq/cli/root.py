"""`ringdaq`: the list of commands, and what happens when one fails."""

from __future__ import annotations

import os
import traceback
from typing import Any

import click

from ringdaq import __version__
from ringdaq.cli.exit_codes import INTERRUPTED, exit_code
from ringdaq.cli.lazy import LazyGroup
from ringdaq.cli.output import say
from ringdaq.errors import RingdaqError

COMMANDS = {
    "demo": ("ringdaq.cli.demo:demo", "Run a whole simulated rig once."),
    "run": ("ringdaq.cli.run:run", "Run a script on a rig, without a daemon."),
    "daemon": ("ringdaq.cli.daemon:daemon", "Serve a rig until stopped."),
    "queue": ("ringdaq.cli.queue:queue", "Queue runs on a daemon."),
    "client": ("ringdaq.cli.client:client", "Use a daemon over the network."),
    "instruments": ("ringdaq.cli.instruments:instruments", "List the rig's instruments."),
    "read": ("ringdaq.cli.instruments:read", "Read an instrument once."),
    "move": ("ringdaq.cli.instruments:move", "Move an instrument."),
    "panic": ("ringdaq.cli.panic:panic", "End all runs and make every instrument safe."),
    "streams": ("ringdaq.cli.streams:streams", "List the streams on this machine."),
    "tail": ("ringdaq.cli.streams:tail", "Print a stream's rows as they come."),
    "record": ("ringdaq.cli.record:record", "Record streams from now on."),
    "save": ("ringdaq.cli.record:save", "Save the last minutes after the fact."),
    "history": ("ringdaq.cli.history:history", "Print what a stream held."),
    "runs": ("ringdaq.cli.runs:runs", "Find, annotate and compare recordings."),
    "replay": ("ringdaq.cli.replay:replay", "Play a recording as live streams."),
    "export": ("ringdaq.cli.export:export", "Write a recording in another format."),
    "describe": ("ringdaq.cli.recordings:describe", "Say what is in a recording."),
    "recover": ("ringdaq.cli.recordings:recover", "Rebuild a recording from its journal."),
    "pipeline": ("ringdaq.cli.pipeline:pipeline", "Check, draw and run pipelines."),
    "config": ("ringdaq.cli.config:config", "Check and show rig files."),
    "bench": ("ringdaq.cli.bench:bench", "Measure what this machine can do."),
    "doctor": ("ringdaq.cli.doctor:doctor", "Look for what would stop this machine."),
}


class Root(LazyGroup):
    """Turns a failure of any command into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RingdaqError as error:
            _explain(error, debug=ctx.params["debug"])
            raise click.exceptions.Exit(exit_code(error)) from error
        except KeyboardInterrupt as error:
            say("interrupted")
            raise click.exceptions.Exit(INTERRUPTED) from error


def _explain(error: RingdaqError, *, debug: bool) -> None:
    if debug:
        say("".join(traceback.format_exception(error)).rstrip())
    say(f"error: {error}")


@click.group(cls=Root, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--state", metavar="DIR", help="State directory of the daemon to use or to start.")
@click.version_option(__version__, "--version", message="ringdaq %(version)s")
def root(debug: bool, state: str | None) -> None:  # noqa: ARG001 (read by Root.invoke)
    """Headless, scriptable data acquisition.

    Data goes to stdout, talk to stderr; nearly every command that prints data
    takes --json.
    """
    if state is not None:
        os.environ["RINGDAQ_STATE"] = os.path.abspath(state)
