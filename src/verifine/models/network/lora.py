"""LoRA: small trainable matrices beside frozen linear layers (arXiv:2106.09685), injected with peft.

The network remains a transformers model, so everything that uses it works as before. An adapted layer computes
`W x + alpha / rank * B A x`; W never changes, so without A and B the network is the starting model.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.utils import SAFETENSORS_WEIGHTS_NAME
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from verifine.errors import ModelError
from verifine.models.load import LanguageModel
from verifine.models.network.adapter_layers import ADAPTER
from verifine.models.network.decoder_trunk import DecoderTrunk, make_trunk


def attach_lora(
    model: LanguageModel,
    rank: int,
    alpha: int,
    targets: Literal["all-linear"] | Sequence[str],
    seed: int,
    *,
    rslora: bool = False,
) -> LanguageModel:
    """Freezes the model's weights and adds adapters, in place. The output is unchanged until the adapters are trained.

    A starts at random values that depend on `seed` alone, B at 0. There is no dropout.

    Args:
        model: The model to adapt. Only the one that is returned may be used from then on.
        rank: Rows of A.
        alpha: The update is scaled by alpha / rank.
        targets: Names of linear layers; all-linear: every linear layer except the vocabulary head.
        seed: Decides the initial values.
        rslora: The update is scaled by alpha / sqrt(rank) instead (arXiv:2312.03732).

    Raises:
        ModelError: the model has no linear layer of a name in `targets`.
    """
    network = model.network
    names = _linear_names(network)
    wanted = names if targets == "all-linear" else list(targets)
    if unknown := [name for name in wanted if name not in names]:
        raise ModelError(
            f"model.lora.targets: {model.name} has no linear layer named {', '.join(unknown)}. "
            f"It has {', '.join(names)}; all-linear adapts all of them."
        )
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        use_rslora=rslora,
        target_modules=wanted,
        lora_dropout=0.0,
        bias="none",
        task_type="CAUSAL_LM",
    )
    # peft draws A on the CPU, from torch's own generator.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        inject_adapter_in_model(config, network, adapter_name=ADAPTER)
    network.eval()
    return replace(model, trunk=make_trunk(network, model.compute_dtype))


def hold_frozen_weights(model: LanguageModel) -> None:
    """Keeps the frozen linear layers in the type of the products only, where that loses nothing, for less memory.

    What the model computes stays the same to the bit. From then on only its trunk can run the network, and not
    transformers.
    """
    if isinstance(model.trunk, DecoderTrunk):
        model.trunk.hold_frozen()


def has_adapters(network: PreTrainedModel) -> bool:
    return bool(_lora_layers(network))


@contextmanager
def adapters_off(network: PreTrainedModel) -> Iterator[None]:
    """Inside the context, the network is exactly the model that training started from."""
    assert has_adapters(network), "a network without adapters does not keep its starting model"
    switched = [layer for layer in _lora_layers(network).values() if not layer.disable_adapters]
    for layer in switched:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in switched:
            layer.enable_adapters(True)


@torch.no_grad()
def merged_weights(network: PreTrainedModel, base: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The weights of a plain model that computes the same as `network`, in float32, with a plain model's names.

    Weights that an adapter changes are new tensors, the others are the network's own where these are float32. `base`:
    the weights that the adapters are added to. None: the network's own, which then are not held in 8 or 4 bits.
    """
    weights = {name: _exact(tensor) for name, tensor in (base_weights(network) if base is None else base).items()}
    for path, layer in _lora_layers(network).items():
        weights[f"{path}.weight"] = weights[f"{path}.weight"] + layer.get_delta_weight(ADAPTER)
    return weights


def _exact(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32)) if tensor.is_floating_point() else tensor


def base_weights(network: PreTrainedModel) -> dict[str, Tensor]:
    """The network's own tensors without its adapters, with a plain model's names."""
    layers = _lora_layers(network)
    weights: dict[str, Tensor] = {}
    for name, tensor in network.state_dict().items():
        path, _, parameter = name.partition(".base_layer.")
        if path in layers:
            weights[f"{path}.{parameter}"] = tensor
        elif not any(name.startswith(f"{path}.") for path in layers):
            weights[name] = tensor
    return weights


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterBase:
    """The model that adapters belong to, as peft is told."""

    name: str
    """A hub id or a folder."""
    revision: str | None
    """The commit on the hub; None: it is not known."""


def save_adapter(network: PreTrainedModel, folder: Path, base: AdapterBase) -> None:
    """Writes the adapters alone, in peft's format: `PeftModel.from_pretrained(base, folder)` loads them."""
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(network, adapter_name=ADAPTER, save_embedding_layers=False)
    tensors = {f"base_model.model.{name}": tensor.contiguous() for name, tensor in state.items()}
    save_file(tensors, folder / SAFETENSORS_WEIGHTS_NAME, metadata={"format": "pt"})
    save_adapter_config(network, folder, base)


def save_adapter_config(network: PreTrainedModel, folder: Path, base: AdapterBase) -> None:
    """Writes peft's `adapter_config.json`, which names the model that the adapters belong to."""
    folder.mkdir(parents=True, exist_ok=True)
    config = copy.copy(network.peft_config[ADAPTER])
    config.base_model_name_or_path, config.revision = base.name, base.revision
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)
    config.save_pretrained(folder)


def _linear_names(network: PreTrainedModel) -> list[str]:
    """The names of the linear layers without their paths, in the order of the model, except that of the head."""
    head = network.get_output_embeddings()
    names = (
        path.rpartition(".")[2]
        for path, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    )
    return list(dict.fromkeys(names))


def _lora_layers(network: PreTrainedModel) -> dict[str, LoraLayer]:
    return {path: module for path, module in network.named_modules() if isinstance(module, LoraLayer)}
