"""What the files of a model say about it. No weight is read."""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import Tokenizer

from verifine.config import LoraConfig
from verifine.errors import ModelError
from verifine.launch.models.summary import ModelSummary, training_mode
from verifine.models.architectures import read_config, usable_context
from verifine.models.chat.values import free_variables
from verifine.models.memory.shape import linear_names, shape_of_config
from verifine.models.provision.cache import read_origin
from verifine.models.provision.folder import check_config
from verifine.types import Json

_SWITCHES = ("enable_thinking", "thinking")
"""What chat templates call the variable that turns thinking on and off."""


def summarize_folder(name: str, folder: Path, hub_id: str | None, stored_bytes: int) -> ModelSummary:
    """What the files of a model say; its weights may be missing.

    Raises:
        ModelError: the folder does not hold a model that transformers knows and Verifine trains.
    """
    check_config(folder, name)
    config = read_config(folder, name)
    try:
        plain = shape_of_config(config, None)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name} cannot be loaded: {' '.join(str(error).split())}") from error
    origin = read_origin(folder)
    template = read_chat_template(folder)
    switches = () if template is None else tuple(each for each in _SWITCHES if each in free_variables(template))
    return ModelSummary(
        name=name,
        hub_id=hub_id,
        revision=None if origin is None else origin.revision,
        stored_bytes=stored_bytes,
        model_type=config.model_type,
        parameters=plain.parameters,
        context_length=usable_context(config),
        licence=None if origin is None else origin.licence,
        gated=None,
        stop_tokens=_stop_tokens(folder),
        thinking_switch=switches[0] if switches else None,
        lora_targets=linear_names(config),
        full=training_mode(lambda lora: shape_of_config(config, lora), None),
        lora=training_mode(lambda lora: shape_of_config(config, lora), LoraConfig()),
        has_chat_template=template is not None,
    )


def read_chat_template(folder: Path) -> str | None:
    """The chat template in the files of a model; None: there is none."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    template = _read(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(template, list):  # several by name: transformers takes the one called default for a plain chat
        named = [each for each in template if isinstance(each, dict)]
        template = next((each.get("template") for each in named if each.get("name") == "default"), None)
    return template if isinstance(template, str) else None


def _tokenizer(folder: Path) -> Tokenizer | None:
    """None: there is none, or another kind."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library has no narrower one
        raise ModelError(f"{path} is no tokenizer ({error}). Fetch or copy it again.") from error


def _stop_tokens(folder: Path) -> tuple[str, ...]:
    """The texts of the ids in `generation_config.json`, or in the config, and the tokenizer's own."""
    listed = _read(folder / "generation_config.json").get("eos_token_id")
    if listed is None:
        listed = _read(folder / "config.json").get("eos_token_id")
    ids = listed if isinstance(listed, list) else [listed]
    tokenizer = _tokenizer(folder)
    texts: list[Json] = [tokenizer.id_to_token(each) for each in ids if tokenizer is not None and isinstance(each, int)]
    own = _read(folder / "tokenizer_config.json").get("eos_token")
    texts.append(own.get("content") if isinstance(own, dict) else own)
    return tuple(dict.fromkeys(text for text in texts if isinstance(text, str)))


def _read(path: Path) -> dict[str, Json]:
    """A JSON object in a file; empty if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
