"""Import what a script will import, before the file system closes."""

from __future__ import annotations

import codecs
import importlib
import os
import re
import time
from collections.abc import Collection
from encodings.aliases import aliases

# What Python imports by itself, only when a word of the script makes it do so.
_BEHIND_WORDS = {
    "__future__": ("__future__",),
    "strptime": ("_strptime",),
    "singledispatch": ("typing", "weakref"),
    "singledispatchmethod": ("typing", "weakref"),
    "N": ("unicodedata",),
}
_ENCODINGS = {*aliases, *aliases.values(), "utf_8_sig"}


def preload(modules: Collection[str], source: str) -> dict[str, Exception]:
    """Import those of the allowed modules that the source speaks of; returns what went wrong.

    The source is searched for words, not parsed: nothing of it is understood before the walls
    are up.
    """
    # numpy's libraries give up where they cannot start the threads that they would like.
    os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", TZ=":/etc/localtime")
    time.tzset()  # read once; without TZ the C library looks at the file each time
    words = set(re.findall(r"\w+", source))
    for word in words & _BEHIND_WORDS.keys():
        for name in _BEHIND_WORDS[word]:
            importlib.import_module(name)
    if not source.isascii():  # which names of other letters are compared by
        importlib.import_module("unicodedata")
    for name in re.findall(r"[\w-]+", source):
        if name.lower().replace("-", "_") in _ENCODINGS:
            codecs.lookup(name)
    failed: dict[str, Exception] = {}
    for name in modules:
        if words.issuperset(name.split(".")):
            _import_whole(name, words, failed)
    return failed


def _import_whole(name: str, words: set[str], failed: dict[str, Exception]) -> None:
    """A module, and those of its parts that it would import at their first use."""
    try:
        module = importlib.import_module(name)
        for part in words.intersection(dir(module)) - vars(module).keys():
            getattr(module, part)
    except Exception as error:  # a foreign module may fail in any way; told where it is imported
        failed[name] = error
