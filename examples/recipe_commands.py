"""The commands that a recipe's README shows, in the order in which a reader runs them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"^(?:\$ )?((?:python|verifine) .*)$", re.MULTILINE)


def commands_of(readme: Path) -> Iterator[list[str]]:
    """Each as its words; the first is `python` or `verifine`. Lines that end in a backslash go on.

    The last word of a command that stays in the background is `&`.
    """
    for kind, block in _BLOCK.findall(readme.read_text(encoding="utf-8")):
        if kind in ("", "console"):
            for line in _COMMAND.findall(block.replace("\\\n", " ")):
                yield shlex.split(line)
