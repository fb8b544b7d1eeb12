"""`ringdaq bench`: what this machine can do, and whether that is enough for a rig."""

from __future__ import annotations

from pathlib import Path

import click

from ringdaq.cli.exit_codes import FAILED, OK
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table


@click.command()
@click.option(
    "--rig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with what this rig file needs.",
)
@click.option(
    "--rings",
    type=click.Path(path_type=Path),
    help="Where the rings will lie.  [default: as the rig file says, else /dev/shm]",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where recordings will be written.  [default: the current directory]",
)
@click.option("--quick", is_flag=True, help="Less exact, in a moment.")
@as_json
@click.pass_context
def bench(
    ctx: click.Context,
    rig: Path | None,
    rings: Path | None,
    recordings: Path,
    quick: bool,
    as_json: bool,
) -> None:
    """Measure what this machine can do: rings, waking up, disk.

    With a rig file it ends with a verdict, and with exit code 1 if the machine is too slow or its
    rings do not fit. Instruments that are not simulated are not connected, and not counted.
    """
    from ringdaq.cli.bench_measures import measure
    from ringdaq.cli.bench_rig import judge, need_of
    from ringdaq.cli.rig_rings import RINGS, place_of
    from ringdaq.config import load_rig

    loaded = None if rig is None else load_rig(rig)
    if rings is None:
        rings = RINGS if loaded is None else place_of(loaded)
    need = None if loaded is None else need_of(loaded)
    found = measure(rings, recordings, share=0.05 if quick else 1.0)
    verdicts = [] if need is None else judge(need, found, rings)
    enough = all(verdict.enough for verdict in verdicts)
    if as_json:
        data_json({"machine": found, "need": need, "verdicts": verdicts, "ok": enough})
    else:
        data(table(["what", "this machine"], found.rows()))
        for verdict in verdicts:
            data(f"{'ok' if verdict.enough else 'too little'}: {verdict.text}")
        if loaded is not None:
            data(f"{'enough' if enough else 'not enough'} for the rig {loaded.name!r}")
        for name in need.not_counted if need else ():
            say(f"not counted, as its rate is not known without connecting it: {name}")
    ctx.exit(OK if enough else FAILED)
