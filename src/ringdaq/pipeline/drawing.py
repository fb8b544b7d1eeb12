"""Draws a checked graph as SVG: layers from top to bottom, queues as thick lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from ringdaq.pipeline.edges import Edge
from ringdaq.pipeline.graph import CheckedGraph, CheckedStage, told

WIDTH, HEIGHT = 300, 66
GAP_X, GAP_Y = 28, 48
MARGIN, TITLE = 24, 40
FILL = {"source": "#e3f1e4", "transform": "#e6eef8", "sink": "#faecd9"}
STROKE = {"source": "#4a8f4f", "transform": "#4a72a8", "sink": "#b3752a"}
LEGEND = "thick: a queue, with a thread of its own behind it · dashed: in Python"
STYLE = (
    "text{font-family:sans-serif;font-size:12px;fill:#333}"
    ".name{font-size:14px;font-weight:bold;fill:#111}"
    ".form{font-size:11px;fill:#666}"
    ".title{font-size:16px;fill:#111}"
)


@dataclass(frozen=True, slots=True)
class Box:
    """Where a stage is drawn."""

    x: float
    y: float

    @property
    def middle(self) -> float:
        """Where lines begin and end."""
        return self.x + WIDTH / 2


def draw(graph: CheckedGraph) -> str:
    """The graph as one SVG document."""
    boxes = _places(arrange(graph), graph.edges)
    width = max(box.x for box in boxes.values()) + WIDTH + MARGIN
    height = max(box.y for box in boxes.values()) + HEIGHT + MARGIN + 26
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
        _text(MARGIN, MARGIN + 14, graph.config.name, "title"),
        *(_line(edge, boxes) for edge in graph.edges),
        *(part for stage in graph.stages for part in _box(stage, boxes[stage.name])),
        _text(MARGIN, height - 14, LEGEND, "form"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def arrange(graph: CheckedGraph) -> list[list[str]]:
    """The stages of each layer, left to right: each below all that it takes."""
    depth: dict[str, int] = {}
    for stage in graph.stages:
        before = [depth[e.source] for e in graph.edges if e.target == stage.name]
        depth[stage.name] = max(before, default=-1) + 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, row in depth.items():
        layers[row].append(name)
    for above, layer in pairwise(layers):
        order = {name: _mean_place(name, above, graph.edges, layer.index(name)) for name in layer}
        layer.sort(key=order.__getitem__)
    return layers


def _mean_place(name: str, above: Sequence[str], edges: Sequence[Edge], else_at: int) -> float:
    """The mean place of what leads to a stage, so that lines cross little."""
    places = [above.index(e.source) for e in edges if e.target == name and e.source in above]
    return sum(places) / len(places) if places else else_at


def _places(layers: Sequence[Sequence[str]], edges: Sequence[Edge]) -> dict[str, Box]:
    """A place for each stage, as far as may be below what leads to it."""
    found: dict[str, Box] = {}
    for row, layer in enumerate(layers):
        y = MARGIN + TITLE + row * (HEIGHT + GAP_Y)
        wanted = [_below(name, found, edges) for name in layer]
        for name, x in zip(layer, _apart(wanted), strict=True):
            found[name] = Box(x, y)
    left = min(box.x for box in found.values()) - MARGIN
    return {name: Box(box.x - left, box.y) for name, box in found.items()}


def _below(name: str, found: Mapping[str, Box], edges: Sequence[Edge]) -> float:
    above = [found[edge.source].x for edge in edges if edge.target == name]
    return sum(above) / len(above) if above else 0.0


def _apart(wanted: Sequence[float]) -> list[float]:
    """Places in the same order that are far enough from each other, near the wanted ones."""
    places: list[float] = []
    for x in wanted:
        places.append(max(x, places[-1] + WIDTH + GAP_X) if places else x)
    shift = (sum(wanted) - sum(places)) / len(places)
    return [x + shift for x in places]


def _line(edge: Edge, boxes: dict[str, Box]) -> str:
    start, end = boxes[edge.source], boxes[edge.target]
    top, bottom = start.y + HEIGHT, end.y
    bend = (bottom - top) / 2
    way = (
        f"M{start.middle:g} {top:g} C{start.middle:g} {top + bend:g} "
        f"{end.middle:g} {bottom - bend:g} {end.middle:g} {bottom:g}"
    )
    thick = 3.5 if edge.queued else 1.4
    line = f'<path d="{way}" fill="none" stroke="#777" stroke-width="{thick}"/>'
    if not edge.queued:
        return line
    label = f"{edge.capacity} packets, {edge.policy.replace('_', ' ')}"
    return line + _text(end.middle + 8, bottom - 8, label, "form")


def _box(stage: CheckedStage, box: Box) -> Iterator[str]:
    role = stage.kind.role
    dashed = ' stroke-dasharray="6 4"' if stage.plane == "control_plane" else ""
    yield (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{WIDTH}" height="{HEIGHT}" rx="8" '
        f'fill="{FILL[role]}" stroke="{STROKE[role]}" stroke-width="1.5"{dashed}/>'
    )
    yield _text(box.x + 12, box.y + 21, stage.name, "name")
    yield _text(box.x + 12, box.y + 39, _summary(stage), "")
    yield _text(box.x + 12, box.y + 56, _form(stage), "form")


def _form(stage: CheckedStage) -> str:
    """What it makes, in short; of a sink, nothing."""
    form = stage.output
    if form is None:
        return told(form) if stage.kind.role == "source" else ""
    rows = f"{form.samples} rows" if form.rows else f"{form.samples} at {form.rate} Hz"
    made_up = ", simulated" if form.simulated else ""
    return f"{form.kind}, {len(form.channels)} × {rows}{made_up}"


def _summary(stage: CheckedStage) -> str:
    """Its type, where it is not the name, and what was written of its parameters."""
    written = [f"{key} {_short(value)}" for key, value in stage.config.parameters.items()]
    kind = [stage.config.type] if stage.config.type != stage.name else []
    text = ", ".join([*kind, *written]) or stage.kind.summary
    return text if len(text) <= 42 else f"{text[:41]}…"


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, list | dict) else str(value)


def _text(x: float, y: float, text: str, kind: str) -> str:
    cls = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{cls}>{escape(text)}</text>'
