"""Two recordings side by side: what differs between them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any


def compare(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    """What differs between two recordings as the catalogue has them.

    `parameters`, `settings`, `versions`, `keys`: by name, `[left, right]`, `None` where one has
    none. `script` and `rig` are the lines of a unified diff, empty where the texts are the same.
    """
    mine, other = left["about"], right["about"]
    return {
        "left": left["recording_id"],
        "right": right["recording_id"],
        "parameters": _differing(mine["script"]["parameters"], other["script"]["parameters"]),
        "settings": _differing(_settings(mine), _settings(other)),
        "versions": _differing(mine["versions"], other["versions"]),
        "keys": _differing(left["keys"], right["keys"]),
        "script": _diff(left, right, "script"),
        "rig": _diff(left, right, "rig"),
    }


def _differing(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, list[Any]]:
    names = sorted({*left, *right})
    pairs = {name: [left.get(name), right.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _settings(about: Mapping[str, Any]) -> dict[str, str]:
    return {
        f"{name}.{key}": f"{held['value']} {held['unit']}".rstrip()
        for name, instrument in about["instruments"].items()
        for key, held in instrument["settings"].items()
    }


def _diff(left: Mapping[str, Any], right: Mapping[str, Any], part: str) -> list[str]:
    texts = [one["about"][part]["text"].splitlines() for one in (left, right)]
    names = [f"{one['recording_id']}/{part}" for one in (left, right)]
    return list(difflib.unified_diff(texts[0], texts[1], names[0], names[1], lineterm=""))
