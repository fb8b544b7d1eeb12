"""`ringdaq pipeline`, and its `check | graph | new-plugin`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ringdaq.cli.lazy import LazyGroup
from ringdaq.cli.options import as_json
from ringdaq.cli.output import data, data_json, say, table

if TYPE_CHECKING:
    from ringdaq.config import PipelineConfig
    from ringdaq.pipeline import CheckedGraph

FILE = click.Path(dir_okay=False, path_type=Path)

COMMANDS = {
    "check": ("ringdaq.cli.pipeline:check", "Say whether a pipeline file is right."),
    "graph": ("ringdaq.cli.pipeline:graph", "Draw a pipeline as SVG."),
    "types": ("ringdaq.cli.pipeline_types:types", "List the types of stages and their keys."),
    "run": ("ringdaq.cli.pipeline_run:run", "Run a pipeline file, without a daemon."),
    "list": ("ringdaq.cli.pipeline_ask:list_", "List the daemon's pipelines."),
    "start": ("ringdaq.cli.pipeline_ask:start", "Start a pipeline in the daemon."),
    "stop": ("ringdaq.cli.pipeline_ask:stop", "Stop one; what is on its way is finished."),
    "pause": ("ringdaq.cli.pipeline_ask:pause", "Hold one."),
    "resume": ("ringdaq.cli.pipeline_ask:resume", "Let one go on."),
    "drain": ("ringdaq.cli.pipeline_ask:drain", "Let one finish, and end."),
    "set": ("ringdaq.cli.pipeline_ask:set_", "Change parameters while one runs."),
    "stats": ("ringdaq.cli.pipeline_ask:stats", "Show what one has counted."),
    "new-plugin": ("ringdaq.cli.pipeline:new_plugin", "Begin a package with a stage of your own."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def pipeline() -> None:
    """Check, draw and run pipelines."""


name_option = click.option("--name", help="Which pipeline, where the file is a rig's.")
preset_option = click.option("--preset", help="Apply a preset of the pipeline.")
rings_option = click.option(
    "--rings",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the rings lie.  [default: those of the daemon, else /dev/shm]",
)
connect_option = click.option(
    "--connect", is_flag=True, help="Connect to sources that must be asked for their form."
)


def load_text(file: Path, name: str | None, preset: str | None) -> PipelineConfig:
    """A pipeline file, or a pipeline of a rig file, with a preset."""
    from ringdaq.config import load_pipeline, load_rig
    from ringdaq.config.text import read_text, read_toml

    text, path = read_text(file, "pipeline")
    plain, _ = read_toml(text, path, "pipeline")
    if "rig" not in plain:
        config = load_pipeline(path)
    else:
        rig = load_rig(path)
        if name is None and len(rig.pipelines) != 1:
            raise click.UsageError(
                f"say which with --name; the rig has {', '.join(rig.pipelines) or 'no pipelines'}"
            )
        config = rig.pipeline(name or next(iter(rig.pipelines)))
    return config.with_preset(preset) if preset else config


def ring_directory(given: Path | None) -> Path:
    """Where the rings lie: as asked, as the running daemon has it, else /dev/shm."""
    from ringdaq.errors import DaemonUnreachableError
    from ringdaq.pipeline.graph import RINGS
    from ringdaq.streams.directory import running_directory

    if given is not None:
        return given
    try:
        return running_directory()
    except DaemonUnreachableError:
        return RINGS


def _check_all(
    file: Path, name: str | None, preset: str | None, rings: Path | None, connect: bool
) -> CheckedGraph:
    """Check a pipeline, with each of its presets where none is asked for."""
    from ringdaq.pipeline import check as check_graph

    config, directory = load_text(file, name, preset), ring_directory(rings)
    graph = check_graph(config, rings=directory, connect=connect)
    graph.close()
    for other in config.body.presets if preset is None else ():
        check_graph(config.with_preset(other), rings=directory)
    return graph


@click.command()
@click.argument("file", type=FILE)
@name_option
@preset_option
@rings_option
@connect_option
@as_json
def check(
    file: Path,
    name: str | None,
    preset: str | None,
    rings: Path | None,
    connect: bool,
    as_json: bool,
) -> None:
    """Say whether a pipeline file is right, and what goes over each of its edges.

    FILE is a pipeline file, or a rig file with pipelines in it. A plugin's file is run.
    """
    from ringdaq.pipeline.graph import told

    graph = _check_all(file, name, preset, rings, connect)
    if as_json:
        data_json(
            {
                "pipeline": graph.config.name,
                "hash": graph.config.hash,
                "complete": graph.complete,
                "edges": [
                    {
                        "from": edge.source,
                        "to": edge.target,
                        "queue": edge.capacity if edge.queued else None,
                        "policy": edge.policy if edge.queued else None,
                        "packets": told(graph.format_of(edge)),
                    }
                    for edge in graph.edges
                ],
            }
        )
        return
    known = "" if graph.complete else " as far as can be said without its sources"
    say(f"the pipeline is right{known}: {file}")
    rows = [
        (
            edge.source,
            edge.target,
            f"{edge.capacity}, {edge.policy}" if edge.queued else "",
            told(graph.format_of(edge)),
        )
        for edge in graph.edges
    ]
    data(table(["from", "to", "queue", "packets"], rows))


@click.command()
@click.argument("file", type=FILE)
@click.option("-o", "--output", type=FILE, help="Where to write it.  [default: stdout]")
@name_option
@preset_option
@rings_option
@connect_option
def graph(
    file: Path,
    output: Path | None,
    name: str | None,
    preset: str | None,
    rings: Path | None,
    connect: bool,
) -> None:
    """Draw a pipeline as SVG."""
    from ringdaq.pipeline.drawing import draw

    picture = draw(_check_all(file, name, preset, rings, connect))
    if output is None:
        data(picture.rstrip("\n"))
        return
    output.write_text(picture)
    say(f"drawn: {output}")


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where to make the folder.  [default: here]",
)
def new_plugin(name: str, directory: Path) -> None:
    """Begin a package with a stage of your own: the stage, its entry point, and a test."""
    from ringdaq.pipeline.template import write_template

    folder = write_template(name, directory)
    say(f"written: {folder}")
