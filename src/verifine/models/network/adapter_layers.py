"""The layers that peft puts in the place of linear ones: a base layer with LoRA matrices beside it."""

from __future__ import annotations

from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn import Parameter

ADAPTER = "default"
"""peft's name for the only adapter."""


def base_layer(layer: nn.Module) -> nn.Linear:
    """The layer that holds the starting model's weight: the layer itself where it is not adapted."""
    base = layer.get_base_layer() if isinstance(layer, LoraLayer) else layer
    assert isinstance(base, nn.Linear)
    return base


def lora_matrices(layer: LoraLayer) -> tuple[Parameter, Parameter, float]:
    """A, B and the scale: the layer adds `scale * B A` to its weight."""
    down, up = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
    assert isinstance(down, Parameter)
    assert isinstance(up, Parameter)
    return down, up, float(layer.scaling[ADAPTER])
