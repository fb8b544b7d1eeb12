"""Whatever becomes of a text, it is right or refused in words; nothing else ever comes out."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringdaq.config import parse_pipeline
from ringdaq.errors import ConfigError
from ringdaq.pipeline import CheckedGraph, check

EXAMPLES = Path(__file__).parents[3] / "examples/pipelines"
MORE = """
[[connection]]
from = "board"
to = "bandpass"
capacity = 3
[pool.default]
packets = 1000
"""
LINES = ((EXAMPLES / "simulated_eeg.toml").read_text() + MORE).splitlines()
KEYS = ("input", "type", "name", "latency_secs", "pool", "segment")
WORDS = (
    '"notch"', '"board"', '"rfft"', '"ring_sink"', '"x.y"', '""', "0", "-1", "1e300", "nan", "inf",
    "[]", "{}", "true", "2026-01-01", "[1, 2]", '["notch", "board"]', "99999999999999999999",
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """The example with a few lines gone, twice there, moved, or with other values."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(lines) - 1))
        change = draw(st.sampled_from(["drop", "twice", "move", "value", "key"]))
        if change == "drop":
            lines.pop(place)
        elif change == "twice":
            lines.insert(place, lines[place])
        elif change == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(place))
        elif change == "value":
            lines[place] = re.sub(r"= .*", f"= {draw(st.sampled_from(WORDS))}", lines[place])
        else:
            key = draw(
                st.sampled_from(["input", "type", "name", "latency_secs", "pool", "segment"])
            )
            lines[place] = re.sub(r"^\w+ =", f"{key} =", lines[place])
    return "\n".join(lines)


def outcome(text: str, rings: Path) -> tuple[CheckedGraph | None, str]:
    try:
        return check(parse_pipeline(text, Path("eeg.toml")), rings=rings), ""
    except ConfigError as error:
        return None, str(error)


@given(texts())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_text_is_right_or_refused_in_words(text: str) -> None:
    with tempfile.TemporaryDirectory() as rings:
        graph, refusal = outcome(text, Path(rings))
    if graph is None:
        assert refusal.endswith("eeg.toml")
    else:
        assert graph.complete
        assert {edge.target for edge in graph.edges} <= {stage.name for stage in graph.stages}
