"""The network in a folder of safetensors, as transformers reads it."""

from __future__ import annotations

from typing import Literal

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from verifine.errors import ModelError
from verifine.models.architectures import has_experts
from verifine.models.loading_fault import loading_fault, refuse_incomplete
from verifine.models.network.attention import IMPLEMENTATION
from verifine.models.network.quantized_linear import BaseBits, quantize_linears
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.quiet import no_progress_bars

UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What transformers raises for files that it cannot load."""


def read_network(provisioned: ProvisionedModel, config: PretrainedConfig) -> PreTrainedModel:
    """The network in float32.

    Raises:
        ModelError: it cannot be loaded, or lacks weights.
    """
    network = _read(provisioned, config, torch.float32)
    _leave_files(network)
    return network


def read_quantized_network(
    provisioned: ProvisionedModel, config: PretrainedConfig, bits: BaseBits, device: torch.device
) -> PreTrainedModel:
    """The network with linear layers in `bits` on `device`, and everything else in float32; it cannot learn.

    The whole of it is never in memory: linear layers are read from the files one by one.

    Raises:
        ModelError: it cannot be loaded, lacks weights, or has weights outside linear layers.
        SetupError: a package that `bits` needs is not installed.
    """
    if has_experts(config):
        raise ModelError(
            f"{provisioned.name} is a mixture of experts, which are no linear layers of their own, so model.lora."
            "base_bits would leave most of its weights as they are. Set it to null, or take a model without experts."
        )
    network = _read(provisioned, config, "auto")
    if any(_is_rounded(buffer) for buffer in network.buffers()):  # such as the scale of Gemma's embeddings
        network = _read(provisioned, config, torch.float32)
    quantize_linears(network, bits, device)
    for each in network.parameters():
        each.data = each.data.float() if each.is_floating_point() else each.data
    _leave_files(network)
    return network


def _is_rounded(buffer: Tensor) -> bool:
    return buffer.is_floating_point() and buffer.dtype != torch.float32


def _read(
    provisioned: ProvisionedModel, config: PretrainedConfig, dtype: torch.dtype | Literal["auto"]
) -> PreTrainedModel:
    try:
        with no_progress_bars():
            network, loaded = AutoModelForCausalLM.from_pretrained(
                provisioned.folder, config=config, dtype=dtype, local_files_only=True, trust_remote_code=False,
                use_safetensors=True, attn_implementation=IMPLEMENTATION, output_loading_info=True,
                ignore_mismatched_sizes=True,
            )  # fmt: skip
    except UNREADABLE as error:
        raise ModelError(f"{provisioned.name} cannot be loaded: {loading_fault(provisioned.folder, error)}") from error
    refuse_incomplete(provisioned.name, loaded)
    assert isinstance(network, PreTrainedModel)
    return network


def _leave_files(network: PreTrainedModel) -> None:
    """Gives every weight memory of its own. Until then it is that of the file, which somebody may write over."""
    for each in (*network.parameters(), *network.buffers()):
        each.data = each.data.clone()
