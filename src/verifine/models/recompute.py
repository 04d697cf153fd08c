"""Layers whose activations are computed again in the backward pass instead of kept: less memory, a third more work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer


def find_layers(network: nn.Module) -> list[nn.Module]:
    """What can be computed again on its own: a model's decoder layers. None in a model that transformers cannot do."""
    return [module for module in network.modules() if isinstance(module, GradientCheckpointingLayer)]


@contextmanager
def recomputed_layers(network: nn.Module) -> Iterator[None]:
    """Inside, autograd keeps what goes into each layer and nothing of what is in it. The gradients are the same.

    transformers' own switch works only on a layer in training mode, in which some would drop out activations.
    """
    layers = find_layers(network)
    for layer in layers:
        vars(layer)["forward"] = _recomputing(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            # Its class has the method; what stood before it is gone.
            del vars(layer)["forward"]


def _recomputing(forward: Callable[..., object]) -> Callable[..., object]:
    # Nothing in a layer is random, so no generator has to be remembered.
    return partial(checkpoint, forward, use_reentrant=False, preserve_rng_state=False)
