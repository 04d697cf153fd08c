"""Activation checkpointing: activations are recomputed in the backward pass, for less memory and a third more work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer

Result = TypeVar("Result")


def find_layers(network: nn.Module) -> list[nn.Module]:
    """The decoder layers, which can be recomputed; empty if transformers cannot checkpoint this model."""
    return [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]


@contextmanager
def recomputed_layers(network: nn.Module) -> Iterator[None]:
    """Inside the context, autograd keeps only the input of each layer. The gradients are the same.

    transformers' own switch requires training mode, in which some layers apply dropout.
    """
    layers = find_layers(network)
    for layer in layers:
        vars(layer)["forward"] = recomputing(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            # This reveals the method of the class again.
            del vars(layer)["forward"]


def recomputing(forward: Callable[..., Result]) -> Callable[..., Result]:
    """The same function of tensors, of which autograd keeps the inputs only."""
    # Layers use no random numbers, so the generator's state need not be saved.
    return partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=False)
