"""The page that describes rig files has a row for each key, with the model's own words."""

from pathlib import Path

import pytest
from pydantic_core import PydanticUndefined

from ringdaq.config import Rig, TwinConfig
from ringdaq.instruments import DRIVERS, find_driver
from ringdaq.instruments.sim.faults import FaultOptions

PAGE = Path(__file__).parents[3] / "docs/reference/rig-file.md"

SECTIONS = {
    "[rig]": Rig.model_fields["rig"].annotation,
    "[daemon]": Rig.model_fields["daemon"].annotation,
    "[[instrument]]": Rig.model_fields["instruments"].annotation.__args__[0],
    "[instrument.twin]": TwinConfig,
    "[stream.NAME]": Rig.model_fields["streams"].annotation.__args__[1],
    "[scripts]": Rig.model_fields["scripts"].annotation,
    "[recording]": Rig.model_fields["recording"].annotation,
    **{name: find_driver(name).options for name in DRIVERS},
    "[instrument.options.faults]": FaultOptions,
}


def written(value):
    if value is PydanticUndefined:
        return "must be written"
    if value is None:
        return "none"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, TwinConfig):
        return "see below"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{str(value).lower() if isinstance(value, bool) else value}`".replace("'", '"')


def rows(model):
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        said = " ".join((field.description or "").split())
        yield f"| `{name}` | {written(default)} | {said} |"


def section(name):
    text = "| key | default | meaning |\n| --- | --- | --- |\n" + "\n".join(rows(SECTIONS[name]))
    return f"{name}`\n\n", text


@pytest.mark.parametrize("name", SECTIONS)
def test_every_key_has_its_row(name):
    page = PAGE.read_text()
    begin = page.index(f"`{name}`\n")
    part = page[begin : page.find("\n## ", begin)] if "\n## " in page[begin:] else page[begin:]
    missing = [row for row in rows(SECTIONS[name]) if row not in part]
    assert missing == []
