"""From the memory there is to what a run allows itself of it."""

from __future__ import annotations

from verifine.config import RunConfig
from verifine.models.available import Available
from verifine.models.shape import ModelShape
from verifine.rollout.native.native_engine import CACHE_BYTES
from verifine.training.memory import MemoryPlan, activation_bytes, resident_bytes, update_bytes

SAFE_SHARE = 0.8
"""Of the memory there is: estimates are off by some per cent, and other programs want some too."""

MOST_TOKENS, MOST_TOKENS_ACCELERATED = 2048, 16384
"""Tokens of a micro-batch beyond which more at a time gain nothing, on a processor and on an accelerator."""

MOST_CACHE_BYTES = 16 << 30
"""Of an accelerator; on a processor it is CACHE_BYTES."""


def plan(config: RunConfig, shape: ModelShape, longest_prompt: int, available: Available) -> MemoryPlan:
    """As much at a time as there is room for and is of use; the least there can be where there is no room.

    Numbers are rounded down to powers of two, so that a few bytes more or less that are free do not change the order in
    which gradients are added up.
    """
    assert config.sampling.max_new_tokens is not None
    rollout = longest_prompt + config.sampling.max_new_tokens
    lasting = resident_bytes(config, shape, is_main=available.is_main)
    room = max(round(SAFE_SHARE * available.size) - sum(lasting.values()), 0)
    for_activations = room - update_bytes(config, shape)
    recompute = shape.layers > 0 and rollout * activation_bytes(config, shape, recompute=False) > for_activations
    most = CACHE_BYTES if available.is_main else MOST_CACHE_BYTES
    tokens, ceiling = config.optim.micro_batch_tokens, MOST_TOKENS if available.is_main else MOST_TOKENS_ACCELERATED
    fitting = int(for_activations / activation_bytes(config, shape, recompute=recompute))
    return MemoryPlan(
        micro_batch_tokens=max(rollout, min(_round_down(fitting), ceiling)) if tokens == "auto" else tokens,
        cache_bytes=min(_round_down(room), most),
        recompute=recompute,
    )


def _round_down(number: int) -> int:
    """The greatest power of two that is not more; 1 at least."""
    return 1 << max(number, 1).bit_length() - 1
