"""Where data comes from: a file, or a dataset of the Hugging Face hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

# `hf:/` is what a path library leaves of `hf://`, for example on a command line.
_SCHEME = re.compile(r"hf:/+")
_HUB = re.compile(
    r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(?:/(?P<config>[\w-][\w.+-]*))?(?:\?split=(?P<split>\w[\w.-]*))?", re.ASCII
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HubDataset:
    """A dataset of the Hugging Face hub, written `hf://OWNER/NAME[/CONFIG][?split=SPLIT]`."""

    name: str
    """OWNER/NAME."""
    config: str | None = None
    """None: its only or default configuration."""
    split: str = "train"

    def __str__(self) -> str:
        config = "" if self.config is None else f"/{self.config}"
        return f"hf://{self.name}{config}?split={self.split}"

    @property
    def stem(self) -> str:
        """The name of a run on it, like `Path.stem` of a file."""
        return self.name.rpartition("/")[2]


def parse_location(value: object) -> Path | HubDataset:
    """A path, or a hub dataset where the text begins with `hf://`.

    Raises:
        ValueError: it begins with `hf://` and names no dataset.
    """
    if isinstance(value, HubDataset):
        return value
    if not isinstance(value, str | Path):
        raise PydanticCustomError("path_type", "not a path")
    text = str(value)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return Path(value)
    named = _HUB.fullmatch(text, scheme.end())
    if named is None:
        raise ValueError(f"{text!r} names no hub dataset; write hf://OWNER/NAME, hf://OWNER/NAME/CONFIG?split=test")
    return HubDataset(name=named["name"], config=named["config"], split=named["split"] or "train")


DataLocation: TypeAlias = Annotated[
    Path | HubDataset, PlainValidator(parse_location), PlainSerializer(str), WithJsonSchema({"type": "string"})
]
"""A file's path, or `hf://OWNER/NAME[/CONFIG][?split=SPLIT]`."""
