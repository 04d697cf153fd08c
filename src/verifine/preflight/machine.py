"""What this machine has, and what a model is in numbers: the facts that estimates rest on."""

from __future__ import annotations

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from verifine.config import LoraConfig
from verifine.errors import ModelError
from verifine.machine.memory import read_memory
from verifine.models.provision import ProvisionedModel
from verifine.preflight.memory import FLOAT_BYTES, ModelShape

_KEYS_AND_VALUES = ("k_proj", "v_proj")
"""What the layers are called that make them, in Llama, Qwen and their kin."""


def available_memory() -> tuple[str, int]:
    """Where a model is trained on this machine, and the bytes that this process can have there."""
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        return f"memory of {torch.cuda.get_device_name()}", free + torch.cuda.memory_reserved()
    return "memory", read_memory().free


def read_shape(provisioned: ProvisionedModel, lora: LoraConfig | None) -> ModelShape:
    """The shape of a model that is not loaded: its config is read, and no weight.

    Raises:
        ModelError: the folder holds no model that transformers knows.
    """
    try:
        config = AutoConfig.from_pretrained(provisioned.folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{provisioned.folder} cannot be loaded: {error}") from error
    return shape_of(network, lora)


def shape_of(network: PreTrainedModel, lora: LoraConfig | None) -> ModelShape:
    """The shape of a plain network with the adapters that `lora` would give it."""
    head = network.get_output_embeddings()
    layers = [
        (path.rpartition(".")[2], module)
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    ]
    plain = sum(parameter.numel() for parameter in network.parameters())
    adapters = sum(
        lora.rank * (layer.in_features + layer.out_features)
        for name, layer in layers
        if lora is not None and (lora.targets == "all-linear" or name in lora.targets)
    )
    cached = sum(layer.out_features for name, layer in layers if name in _KEYS_AND_VALUES)
    return ModelShape(
        parameters=plain + adapters,
        trainable=plain if lora is None else adapters,
        linear_outputs=sum(layer.out_features for _, layer in layers),
        cached_bytes_per_token=FLOAT_BYTES * cached,
        head=0 if head is None else head.weight.numel(),
    )
