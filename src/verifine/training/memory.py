"""How much memory a run takes: what is there all the time, and what a step adds to it. All sizes are in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.models.shape import FLOAT_BYTES, ModelShape

ADAMW_FLOATS = 2
"""Moments that AdamW keeps for each weight that learns."""

ACTIVATION_FLOATS, ADAPTED_FLOATS = 2.5, 4.5
"""Numbers kept for the backward pass, for each output of a linear layer and each token, without adapters and with them.

Measured on a Llama of 135 million weights: what autograd keeps is 2.4 and 2.2, the rest is what allocating it wastes,
which is much where adapters put short-lived tensors in between.
"""

LOGITS_BYTES = 4 * (32 << 20)
"""What is held of logits at a time, with what the backward pass makes of them; see `models.logprobs`."""

PROGRAM_BYTES = 400 << 20
"""Python, torch and transformers themselves, in a machine's main memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """What a run allows itself of memory."""

    micro_batch_tokens: int
    """Tokens of one forward and backward pass; a rollout is never split."""
    cache_bytes: int
    """What the engine's keys and values take at most; a group is never split."""
    recompute: bool
    """Whether activations are computed again in the backward pass instead of kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a step works on, in tokens."""

    prompt: int
    """The longest."""
    answer: float
    """The usual one, or the longest."""


def resident_bytes(config: RunConfig, shape: ModelShape, *, is_main: bool) -> Mapping[str, int]:
    """What is there all the time, by what it is; `config` says which copies of the model there are."""
    critic = config.algorithm.critic
    parts = {
        "the program": PROGRAM_BYTES if is_main else 0,
        "weights": FLOAT_BYTES * shape.parameters,
        "gradients": FLOAT_BYTES * shape.trainable,
        "int8 copy": shape.parameters if config.sampling.precision == "int8" else 0,
        "AdamW": ADAMW_FLOATS * FLOAT_BYTES * shape.trainable,
        "reference": FLOAT_BYTES * shape.parameters if config.algorithm.beta and config.model.lora is None else 0,
        "critic": (2 + ADAMW_FLOATS) * FLOAT_BYTES * shape.parameters
        if critic is not None and critic.kind == "model"
        else 0,
    }
    return {name: size for name, size in parts.items() if size}


def activation_bytes(config: RunConfig, shape: ModelShape, *, recompute: bool) -> float:
    """What the backward pass needs for each token of a micro-batch."""
    floats = shape.linear_outputs * (ACTIVATION_FLOATS if config.model.lora is None else ADAPTED_FLOATS)
    if recompute and shape.layers:
        # What goes into every layer, and one layer's own while it is at it.
        floats = shape.layers * shape.width + floats / shape.layers
    critic = config.algorithm.critic
    networks = 2 if critic is not None and critic.kind == "model" else 1
    return FLOAT_BYTES * floats * networks


def update_bytes(config: RunConfig, shape: ModelShape) -> int:
    """What an update takes on top of that, however small its micro-batches are."""
    head_gradient = 2 * FLOAT_BYTES * shape.head if shape.trainable == shape.parameters else 0
    low_precision = 2 * shape.parameters if config.model.precision == "bfloat16" else 0
    return LOGITS_BYTES + head_gradient + low_precision


def cache_bytes(config: RunConfig, shape: ModelShape, prompt: int, groups: int) -> int:
    """What keys and values of so many groups take; places are made for answers of full length."""
    assert config.sampling.max_new_tokens is not None
    tokens = prompt + config.sampling.group_size * config.sampling.max_new_tokens
    return groups * shape.cached_bytes_per_token * tokens


def peak_bytes(config: RunConfig, shape: ModelShape, load: Workload, budget: MemoryPlan) -> int:
    """The larger of what sampling and an update take."""
    groups, size = config.sampling.prompts_per_step, config.sampling.group_size
    everything = groups * (load.prompt + size * load.answer)
    tokens = max(load.prompt + load.answer, min(budget.micro_batch_tokens, everything))
    update = activation_bytes(config, shape, recompute=budget.recompute) * tokens + update_bytes(config, shape)
    one, all_groups = (cache_bytes(config, shape, load.prompt, count) for count in (1, groups))
    return round(max(update, min(all_groups, max(one, budget.cache_bytes))))
