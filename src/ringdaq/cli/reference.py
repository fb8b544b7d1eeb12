"""The pages that are made of what they tell of: commands, exit codes, pipeline files.

`python -m ringdaq.cli.reference docs/reference` writes them anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ringdaq.cli.exit_codes import EXIT_CODES, MEANINGS
from ringdaq.cli.pipeline_reference import pipeline_page
from ringdaq.cli.root import root

WIDTH = 90
CLI_HEAD = """\
# The command line

Data goes to stdout, talk to stderr, and nearly every command that prints data takes `--json`.
What the exit codes mean is in [exit-codes.md](exit-codes.md).
A machine's daemon is found by its state directory.
That is `--state`, else `$RINGDAQ_STATE`, else `ringdaq` in `$XDG_STATE_HOME` or `~/.local/state`.
Recordings go where the rig file says, else into `ringdaq` in `$XDG_DATA_HOME` or `~/.local/share`.
`$RINGDAQ_ADDRESS` and `$RINGDAQ_TOKEN` stand for `--address` and `--token`.
"""
CODES_HEAD = """\
# Exit codes

Every `ringdaq` command ends with one of these.

| code | meaning | errors |
| --- | --- | --- |
"""


def _commands(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, str]]:
    """Path and help text of a command and of all below it."""
    yield ctx.command_path, command.get_help(ctx)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            assert below is not None
            inner = click.Context(below, ctx, info_name=name, terminal_width=WIDTH)
            yield from _commands(below, inner)


def cli_page() -> str:
    """The help texts of all commands."""
    ctx = click.Context(root, info_name="ringdaq", terminal_width=WIDTH, **root.context_settings)
    parts = [CLI_HEAD]
    for path, text in _commands(root, ctx):
        parts.append(f"## {path}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def codes_page() -> str:
    """The table of exit codes, and which errors lead to each."""
    rows = []
    for code, meaning in MEANINGS.items():
        names = ", ".join(f"`{cls.__name__}`" for cls, c in EXIT_CODES.items() if c == code)
        rows.append(f"| {code} | {meaning} | {names} |")
    return CODES_HEAD + "\n".join(rows) + "\n"


PAGES = {"cli.md": cli_page, "exit-codes.md": codes_page, "pipeline-file.md": pipeline_page}


def main() -> None:
    """Write the pages into the directory that is named."""
    for name, make in PAGES.items():
        (Path(sys.argv[1]) / name).write_text(make())


if __name__ == "__main__":
    main()
