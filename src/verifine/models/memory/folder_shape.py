"""The shape of the model in a folder, from its files alone: without torch, and no weight is read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from verifine.config import LoraConfig
from verifine.config.memory import ModelShape
from verifine.models.memory.sizes import DecoderSizes

_SIZES = TypeAdapter(DecoderSizes)
_SAME = 0.01
"""By which share the weights that a config describes may differ from those in the files."""


def shape_of_folder(folder: Path, lora: LoraConfig | None) -> ModelShape | None:
    """The shape; of a model that is no dense decoder only its weights are known. None: there is no model.

    What is not known is counted as nothing, so that memory that follows from it is less than what a run takes.
    """
    weights = sum(_count_weights(path) for path in folder.glob("*.safetensors"))
    if not weights:
        return None
    sizes = _read_sizes(folder / "config.json")
    if sizes is not None and abs(sizes.shape(None).parameters - weights) <= _SAME * weights:
        return sizes.shape(lora)
    return ModelShape(
        parameters=weights,
        trainable=weights if lora is None else 0,
        linear_outputs=0,
        cached_bytes_per_token=0,
        head=0,
        layers=0,
        width=0,
        is_known_decoder=False,
    )


def _read_sizes(path: Path) -> DecoderSizes | None:
    """None: it is no dense decoder, or not completely described."""
    try:
        config = json.loads(path.read_bytes())
        return _SIZES.validate_python(_with_usual(config))
    except (OSError, ValueError, ValidationError, TypeError, KeyError):
        return None


def _with_usual(config: Mapping[str, Any]) -> dict[str, Any]:
    """What transformers leaves out of a config because it follows from the rest."""
    heads = config["num_attention_heads"]
    usual = {
        "head_dim": config["hidden_size"] // heads,
        "num_key_value_heads": heads,
        "tie_word_embeddings": config["model_type"] == "gemma3_text",
    }
    given = {name: value for name, value in config.items() if value is not None}
    return {name: value for name, value in (usual | given).items() if name in DecoderSizes.__dataclass_fields__}


def _count_weights(path: Path) -> int:
    """By the table at the beginning of the file; 0: it has none."""
    try:
        with path.open("rb") as file:
            table = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return sum(math.prod(entry["shape"]) for key, entry in table.items() if key != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, MemoryError):
        return 0
