"""How much memory a run will take at its peak, and whether the machine has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.preflight.finding import Finding, Severity

FLOAT_BYTES = 4
ADAMW_FLOATS = 2
"""Moments that AdamW keeps for each weight that learns."""

ACTIVATION_FLOATS, ADAPTED_FLOATS = 2.5, 4.5
"""Numbers kept for the backward pass, for each output of a linear layer and each token, without adapters and with them.

Measured on a Llama of 135 million weights: what autograd keeps is 2.4 and 2.2, the rest is what allocating it wastes,
which is much where adapters put short-lived tensors in between.
"""

LOGITS_BYTES = 4 * (32 << 20)
"""What is held of logits at a time, with what the backward pass makes of them; see `models.logprobs`."""

CACHE_BYTES = 1 << 30
"""What the engine gives to keys and values at most; see `rollout.native`."""

PROGRAM_BYTES = 400 << 20
"""Python, torch and transformers themselves, in a machine's main memory."""

FULL_SHARE = 0.85


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """What is known of a run's prompts and answers, in tokens."""

    longest_prompt: int
    usual_answer: float
    """The mean of those that were sampled."""
    longest_answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a run takes at its peak, in bytes."""

    place: str
    """`memory`, or which accelerator's."""
    available: int
    """To this process, what it holds already included."""
    lasting: Mapping[str, int]
    """What is there all the time, by what it is."""
    passing: int
    """What a step takes on top of it where answers are as long as they usually are."""
    passing_at_most: int
    """The same where they are all as long as they may be."""

    @property
    def usual(self) -> int:
        return sum(self.lasting.values()) + self.passing

    @property
    def most(self) -> int:
        return sum(self.lasting.values()) + self.passing_at_most


def estimate_memory(config: RunConfig, shape: ModelShape, lengths: Lengths, place: str, available: int) -> Memory:
    """The parts of a run's memory; `config` says which copies of the model there are."""
    has_lora, critic = config.model.lora is not None, config.algorithm.critic
    lasting = {
        "the program": PROGRAM_BYTES if place == "memory" else 0,
        "weights": FLOAT_BYTES * shape.parameters,
        "gradients": FLOAT_BYTES * shape.trainable,
        "AdamW": ADAMW_FLOATS * FLOAT_BYTES * shape.trainable,
        "reference": FLOAT_BYTES * shape.parameters if config.algorithm.beta and not has_lora else 0,
        "critic": (2 + ADAMW_FLOATS) * FLOAT_BYTES * shape.parameters
        if critic is not None and critic.kind == "model"
        else 0,
    }
    return Memory(
        place=place,
        available=available,
        lasting={name: size for name, size in lasting.items() if size},
        passing=_passing(config, shape, lengths.longest_prompt, lengths.usual_answer),
        passing_at_most=_passing(config, shape, lengths.longest_prompt, lengths.longest_answer),
    )


def _passing(config: RunConfig, shape: ModelShape, prompt: int, answer: float) -> int:
    """The larger of what sampling and an update take, for a step's longest prompts with such answers."""
    assert config.sampling.max_new_tokens is not None
    groups, size = config.sampling.prompts_per_step, config.sampling.group_size
    group = prompt + size * answer
    # A group is never split, however few tokens a micro-batch should have.
    tokens = max(group, min(config.optim.micro_batch_tokens, groups * group))
    floats = ACTIVATION_FLOATS if config.model.lora is None else ADAPTED_FLOATS
    activations = FLOAT_BYTES * floats * shape.linear_outputs * tokens
    if config.algorithm.critic is not None and config.algorithm.critic.kind == "model":
        activations *= 2
    head_gradient = 2 * FLOAT_BYTES * shape.head if shape.trainable == shape.parameters else 0
    low_precision = 2 * shape.parameters if config.model.precision == "bfloat16" else 0
    update = activations + LOGITS_BYTES + head_gradient + low_precision
    # Places for keys and values are made for answers of full length.
    group_cache = shape.cached_bytes_per_token * (prompt + size * config.sampling.max_new_tokens)
    cache = min(groups * group_cache, max(group_cache, CACHE_BYTES))
    return round(max(update, cache))


def judge_memory(memory: Memory, config: RunConfig) -> list[Finding]:
    """A blocker if even answers of usual length do not fit."""
    usual, most = describe_bytes(memory.usual), describe_bytes(memory.most)
    evidence = (
        f"about {usual} with answers as long as now, {most} if all of them are as long as they may be; there are "
        f"{describe_bytes(memory.available)} of {memory.place}"
    )
    if memory.usual > memory.available:
        severity, what = Severity.BLOCKER, f"A step does not fit the {memory.place} of this machine."
    elif memory.most > FULL_SHARE * memory.available:
        severity, what = Severity.WARNING, f"A step may not fit the {memory.place} of this machine."
    else:
        return []
    return [Finding(severity=severity, name="memory", what=what, evidence=evidence, remedy=_smaller(memory, config))]


def _smaller(memory: Memory, config: RunConfig) -> str:
    """What would take less, the largest saving first."""
    savings: list[tuple[int, str]] = []
    learned = memory.lasting.get("gradients", 0) + memory.lasting.get("AdamW", 0)
    if config.model.lora is None:
        savings.append((learned, "train adapters alone (model.lora: {})"))
    savings.append((memory.passing_at_most, _smaller_step(config)))
    if reference := memory.lasting.get("reference"):
        savings.append((reference, "do without a copy of the model for the KL penalty (algorithm.beta: 0)"))
    if critic := memory.lasting.get("critic"):
        savings.append((critic, "take a critic that is a head (algorithm.critic.kind: head)"))
    savings.append((0, "take a smaller model (model.name)"))
    ordered = ", or ".join(words for _, words in sorted(savings, key=lambda saving: saving[0], reverse=True))
    return f"{ordered[0].upper()}{ordered[1:]}."


def _smaller_step(config: RunConfig) -> str:
    sampling = config.sampling
    now = f"{sampling.max_new_tokens}, {sampling.group_size} and {config.optim.micro_batch_tokens}"
    return f"lower sampling.max_new_tokens, sampling.group_size or optim.micro_batch_tokens (now {now})"


def describe_bytes(size: int) -> str:
    """`3.4 GiB`, or `34 MiB` where that is less than a tenth of one."""
    return f"{size / (1 << 30):.1f} GiB" if size >= (1 << 30) // 10 else f"{size / (1 << 20):.0f} MiB"
