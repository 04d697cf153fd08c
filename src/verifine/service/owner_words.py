"""What an owner calls the things that have paths on this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import JsonValue


@dataclass(frozen=True, kw_only=True)
class OwnerWords:
    """Puts an owner's names into texts that processes of this machine wrote. It has no slots, to keep its pattern."""

    files: Mapping[Path, str] = field(default_factory=dict)
    """Their names, by paths; they are also called by the last part of the path alone."""
    paths: Mapping[str, str] = field(default_factory=dict)
    """Of anything else, by whole paths."""

    def say(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._words[found[0]], text) if self._words else text

    def say_all(self, value: JsonValue) -> JsonValue:
        """In all texts of a value."""
        match value:
            case str():
                return self.say(value)
            case dict():
                return {name: self.say_all(each) for name, each in value.items()}
            case list():
                return [self.say_all(each) for each in value]
        return value

    @cached_property
    def _words(self) -> dict[str, str]:
        whole = {str(path): name for path, name in self.files.items()}
        return {**self.paths, **{path.name: name for path, name in self.files.items()}, **whole}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """All at once, the longest first, so that no name is changed that was just written."""
        return re.compile("|".join(map(re.escape, sorted(self._words, key=len, reverse=True))))
