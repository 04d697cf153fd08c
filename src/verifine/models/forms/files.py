"""The files of a model that a run has saved, and how they are copied."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verifine.errors import ModelError
from verifine.machine.blocks import BLOCK_BYTES
from verifine.machine.disk import Disk, refuse_failure

ADAPTER_FOLDER = "adapter"
CONFIG_FILE, WEIGHTS_SUFFIX, INDEX_SUFFIX = "config.json", ".safetensors", ".safetensors.index.json"
_OF_THE_NETWORK = (CONFIG_FILE, "generation_config.json")


def model_files(folder: Path, without: tuple[str, ...] = ()) -> list[Path]:
    """Every file of a saved model but those named `without`; adapters, which lie in a folder of their own, are not."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name not in without and not path.name.startswith(".")
    )


def is_of_tokenizer(path: Path) -> bool:
    """Whether a file of a saved model belongs to its tokenizer or chat template."""
    return path.name not in _OF_THE_NETWORK and not path.name.endswith((WEIGHTS_SUFFIX, INDEX_SUFFIX))


def copy_file(source: Path, target: Path, disk: Disk) -> None:
    """Copies a file of any size in blocks.

    Raises:
        DiskError: it cannot be written.
    """
    with refuse_failure(target):
        disk.write(target, _blocks(source))


def read_json(path: Path) -> dict[str, Any]:
    """An object of a model's settings.

    Raises:
        ModelError: the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); restore it, or save the model again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object; restore it, or save the model again")
    return content


def write_settings(path: Path, content: dict[str, Any], disk: Disk) -> None:
    disk.write(path, [(json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()])


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield block
