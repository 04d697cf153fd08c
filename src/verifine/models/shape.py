"""What of a model takes memory, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from verifine.config import LoraConfig
from verifine.errors import ModelError
from verifine.models.provision import ProvisionedModel
from verifine.models.recompute import find_layers

FLOAT_BYTES = 4

_KEYS_AND_VALUES = ("k_proj", "v_proj")
"""What the layers are called that make them, in Llama, Qwen and their kin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What of a model takes memory."""

    parameters: int
    """All of them, adapters included."""
    trainable: int
    """Those that learn."""
    linear_outputs: int
    """Outputs of all linear layers but the vocabulary head, for each token."""
    cached_bytes_per_token: int
    """What one token's keys and values take."""
    head: int
    """Weights of the vocabulary head."""
    layers: int
    """Decoder layers whose activations can be computed again; 0: none can."""
    width: int
    """Numbers that go from one of them to the next, for each token."""


def read_shape(files: ProvisionedModel, lora: LoraConfig | None) -> ModelShape:
    """The shape of a model that is not loaded: its config is read, and no weight.

    Raises:
        ModelError: the folder holds no model that transformers knows.
    """
    try:
        config = AutoConfig.from_pretrained(files.folder, local_files_only=True, trust_remote_code=False)
        return shape_of_config(config, lora)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{files.folder} cannot be loaded: {error}") from error


def shape_of_config(config: PretrainedConfig, lora: LoraConfig | None) -> ModelShape:
    """The shape of the model that a config describes, of which no weight is made.

    Raises:
        ValueError, KeyError: transformers knows no such model.
    """
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    return shape_of(network, lora)


def shape_of(network: PreTrainedModel, lora: LoraConfig | None) -> ModelShape:
    """The shape of a plain network with the adapters that `lora` would give it."""
    head = network.get_output_embeddings()
    linear = [
        (path.rpartition(".")[2], module)
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    ]
    plain = sum(parameter.numel() for parameter in network.parameters())
    adapters = sum(
        lora.rank * (layer.in_features + layer.out_features)
        for name, layer in linear
        if lora is not None and (lora.targets == "all-linear" or name in lora.targets)
    )
    cached = sum(layer.out_features for name, layer in linear if name in _KEYS_AND_VALUES)
    return ModelShape(
        parameters=plain + adapters,
        trainable=plain if lora is None else adapters,
        linear_outputs=sum(layer.out_features for _, layer in linear),
        cached_bytes_per_token=FLOAT_BYTES * cached,
        head=0 if head is None else head.weight.numel(),
        layers=len(find_layers(network)),
        width=network.get_input_embeddings().weight.shape[1],
    )
