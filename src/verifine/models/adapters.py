"""Saved adapters beside a loaded base, whose weights they share."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel

from verifine.errors import ModelError
from verifine.models.load import LanguageModel
from verifine.models.network.adapter_layers import ADAPTER
from verifine.models.network.decoder_trunk import make_trunk
from verifine.models.network.lora import attach_lora
from verifine.models.threads import in_own_thread

CONFIG = "adapter_config.json"

_PREFIX = "base_model.model."


class _AdapterConfig(BaseModel):
    """What counts of peft's config. A field with a single value here means something else with any other one."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    r: int
    lora_alpha: int
    target_modules: list[str]
    peft_type: str = "LORA"
    bias: str = "none"
    use_dora: bool = False
    use_rslora: bool = False
    rank_pattern: dict[str, int] = {}
    alpha_pattern: dict[str, float] = {}
    modules_to_save: list[str] | None = None
    fan_in_fan_out: bool = False


_PLAIN = {
    "peft_type": "LORA",
    "bias": "none",
    "use_dora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "modules_to_save": None,
    "fan_in_fan_out": False,
}
"""The kind of adapters that is loaded: that of `verifine.models.network.lora`."""


@in_own_thread
def with_adapter(base: LanguageModel, folder: Path, name: str) -> LanguageModel:
    """`base` with the adapter in `folder`, in peft's format, beside its weights.

    Both have the same tensors, so neither may be trained from here on.

    Raises:
        ModelError: it is no LoRA adapter, or not one of this base.
    """
    config = _read_config(folder)
    tensors = _read_tensors(folder)
    network = _sharing_tensors(base.network)
    clone = replace(base, name=name, trunk=make_trunk(network, base.compute_dtype))
    adapted = attach_lora(clone, config.r, config.lora_alpha, config.target_modules, seed=0, rslora=config.use_rslora)
    _load(adapted.network, tensors, folder, base.name)
    return adapted


def with_own_template(model: LanguageModel, template: str | None) -> LanguageModel:
    """The same model with a chat template of its own; None: with the one that it has."""
    if template is None or template == model.tokenizer.chat_template:
        return model
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.chat_template = template
    return replace(model, tokenizer=tokenizer)


def _sharing_tensors(network: PreTrainedModel) -> PreTrainedModel:
    """Other modules with the same parameters and buffers."""
    tensors = [*network.parameters(), *network.buffers()]
    return copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})


def _read_config(folder: Path) -> _AdapterConfig:
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"{folder} is no adapter: it has no {CONFIG}. Give a folder in peft's format.")
    try:
        config = _AdapterConfig.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, ValidationError) as error:
        raise ModelError(f"{path} cannot be read ({' '.join(str(error).split())}). Save the adapter again.") from error
    given = config.model_dump()
    if other := [f"{field}: {given[field]}" for field, plain in _PLAIN.items() if given[field] != plain]:
        raise ModelError(
            f"{path} asks for {other[0]}, and only plain LoRA is loaded beside a base. Merge the adapter into its base "
            "with peft's merge_and_unload, and serve that model."
        )
    return config


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / SAFETENSORS_WEIGHTS_NAME
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} cannot be read ({error}). Save the adapter again.") from error
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}


@torch.no_grad()
def _load(network: PreTrainedModel, tensors: Mapping[str, Tensor], folder: Path, base: str) -> None:
    named = {name.replace(f".{ADAPTER}.", "."): each for name, each in network.named_parameters() if ".lora_" in name}
    if {name: each.shape for name, each in named.items()} != {name: each.shape for name, each in tensors.items()}:
        raise ModelError(
            f"{folder} has adapters for other layers than {base} has. Give the base that it was trained on."
        )
    for name, parameter in named.items():
        parameter.copy_(tensors[name])
