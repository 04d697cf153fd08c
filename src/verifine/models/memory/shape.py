"""The sizes of a model that its use of memory follows from."""

from __future__ import annotations

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from verifine.config import LoraConfig
from verifine.config.memory import FLOAT_BYTES, ModelShape
from verifine.models.architectures import has_experts
from verifine.models.network.decoder import is_known_decoder
from verifine.models.network.recompute import find_layers

_KEYS_AND_VALUES = ("k_proj", "v_proj")
"""The layers that make keys and values, as Llama, Qwen and similar models call them."""

_WITH_QUERIES, _OUTPUT = "qkv_proj", "o_proj"
"""Phi-3's layer that makes queries as well, and the one that reads as many numbers as queries have."""


def shape_of_config(config: PretrainedConfig, lora: LoraConfig | None) -> ModelShape:
    """The shape of the model that a config describes; no weight is allocated.

    Raises:
        ValueError, KeyError: transformers knows no such model.
    """
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    return shape_of(network, lora)


def linear_names(config: PretrainedConfig) -> tuple[str, ...]:
    """The names of the linear layers that `all-linear` adapts, in the order of the model; no weight is allocated."""
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    return tuple(dict.fromkeys(name for name, _ in _linear_layers(network)))


def shape_of(network: PreTrainedModel, lora: LoraConfig | None) -> ModelShape:
    """The shape of a plain network with the adapters that `lora` would give it."""
    head = network.get_output_embeddings()
    linear = _linear_layers(network)
    plain = sum(parameter.numel() for parameter in network.parameters())
    adapters = sum(
        lora.rank * (layer.in_features + layer.out_features)
        for name, layer in linear
        if lora is not None and (lora.targets == "all-linear" or name in lora.targets)
    )
    cached = sum(layer.out_features for name, layer in linear if name in _KEYS_AND_VALUES)
    if joint := sum(layer.out_features for name, layer in linear if name == _WITH_QUERIES):
        cached += joint - sum(layer.in_features for name, layer in linear if name == _OUTPUT)
    return ModelShape(
        parameters=plain + adapters,
        trainable=plain if lora is None else adapters,
        linear_outputs=sum(layer.out_features for _, layer in linear) + _expert_outputs(network),
        cached_bytes_per_token=FLOAT_BYTES * cached,
        head=0 if head is None else head.weight.numel(),
        layers=len(find_layers(network)),
        is_known_decoder=is_known_decoder(network),
        width=network.get_input_embeddings().weight.shape[1],
        frozen_linear=0 if lora is None else sum(layer.weight.numel() for _, layer in linear),
        is_bfloat16=network.config.dtype == torch.bfloat16,
    )


def _linear_layers(network: PreTrainedModel) -> list[tuple[str, nn.Linear]]:
    """All linear layers but the vocabulary head, with their names without paths."""
    head = network.get_output_embeddings()
    return [
        (path.rpartition(".")[2], module)
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    ]


def _expert_outputs(network: PreTrainedModel) -> int:
    """What the experts of a token give: their weights lie in tensors of [experts, outputs, inputs]."""
    if not has_experts(network.config):
        return 0
    chosen: int = network.config.to_dict().get("num_experts_per_tok", 1)
    outputs: int = sum(parameter.shape[1] for parameter in network.parameters() if parameter.dim() == 3)
    return chosen * outputs
