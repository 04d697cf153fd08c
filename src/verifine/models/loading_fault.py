"""Why the files of a model cannot be loaded, and how to bring them in order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from verifine.errors import ModelError
from verifine.models.provision.folder import TOKENIZER_FILES

_LFS_POINTER = b"version https://git-lfs"
_NAMED = 3
"""How many weights a message names."""


def loading_fault(folder: Path, error: Exception) -> str:
    """Why transformers cannot load a folder, on one line."""
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):
        return f"{folder} has no tokenizer.json. Copy it from the model that these weights were made from."
    return _damage(folder) or " ".join(str(error).split()) or type(error).__name__


def refuse_incomplete(name: str, loaded: Mapping[str, Any]) -> None:
    """Refuses a model whose files lack weights, which transformers fills with random numbers.

    `loaded` is what transformers says of loading it (`output_loading_info`).

    Raises:
        ModelError: weights are missing, or have other shapes than the config says.
    """
    if mismatched := sorted(loaded["mismatched_keys"]):
        weight, stored, wanted = mismatched[0]
        raise ModelError(
            f"{name} cannot be loaded: its config.json is of another model than its weights, of which "
            f"{len(mismatched)} have other shapes ({weight} is {_shape(stored)}, and {_shape(wanted)} by the config). "
            "Take both from the same model."
        )
    if missing := sorted(loaded["missing_keys"]):
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise ModelError(
            f"{name} is not complete: its *.safetensors lack {', '.join(missing[:_NAMED])}{more}. Fetch or save the "
            "model again, and take config.json and weights from the same model."
        )


def _damage(folder: Path) -> str | None:
    """The first file that cannot be read; None: all can."""
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            if file.read(len(_LFS_POINTER)) == _LFS_POINTER:
                return f"{path} is a pointer of Git LFS and holds no weights. Run `git lfs pull` in its folder."
        try:
            with safe_open(path, framework="np"):
                pass
        except SafetensorError as error:
            return f"{path} is damaged ({error}). Fetch or copy it again."
    for path in sorted(folder.glob("*.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            return f"{path} is not JSON ({error}). Fetch or copy it again."
    return None


def _shape(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
