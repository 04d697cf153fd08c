"""Whether a folder holds a model that is safe to load and complete."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from verifine.errors import ModelError

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model",
)  # fmt: skip
"""Files that hold a tokenizer; transformers needs one of them."""

_FOR_READERS = (".md", ".png", ".jpg", ".svg")
"""Endings of files that no program reads: cards and their pictures."""

PICKLE_HINT = (
    "other weight formats can run code when loaded and are refused. "
    "Convert it with save_pretrained(..., safe_serialization=True)."
)


def check_folder(folder: Path) -> Path:
    """Returns `folder` if it holds a model that is safe to load.

    Raises:
        ModelError: no config, no safetensors, or a model that wants to run its own code.
    """
    check_config(folder, str(folder))
    if not any(folder.glob("*.safetensors")):
        raise ModelError(f"{folder} has no *.safetensors; {PICKLE_HINT}")
    return folder


def check_config(folder: Path, name: str) -> None:
    """Refuses a model without a config, and one that brings its own code; `name` is what people call it.

    Raises:
        ModelError: it is one of these.
    """
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise ModelError(f"{name} is not a model: it has no config.json. Give a folder saved with save_pretrained.")
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{config_file} is not JSON ({error}). Save the model again, or fetch it anew.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{config_file} holds no JSON object. Save the model again, or fetch it anew.")
    if "auto_map" in config:
        raise ModelError(
            f"{name} wants to run its own Python code (auto_map in config.json); Verifine never does that. "
            "Use a model with an architecture that is part of transformers."
        )


def check_tokenizer(folder: Path, name: str) -> None:
    """Refuses a model without a tokenizer; `name` is what people call it.

    Raises:
        ModelError: it has none.
    """
    if not any((folder / file).is_file() for file in TOKENIZER_FILES):
        raise ModelError(
            f"{name} has no tokenizer. Put its weights into a folder with the tokenizer.json and tokenizer_config.json "
            "of the model that it was made from, and give that folder."
        )


def _is_of_model(path: Path) -> bool:
    return not path.name.startswith(".") and path.suffix.lower() not in _FOR_READERS


def hash_model_folder(folder: Path) -> str:
    """The sha256 of the names and contents of all files in a model's folder, without its card and pictures."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.is_file() and _is_of_model(path)):
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
