"""How much memory a run takes, and how much it allows itself. All sizes are in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from verifine.config.run import RunConfig

FLOAT_BYTES, BFLOAT16_BYTES = 4, 2

HELD_BYTES = {8: 1.01, 4: 0.5625}
"""What a weight takes in 8 and in 4 bits, with scales: one for each row, or for each 64 weights."""

ADAMW_FLOATS = 2
"""Moments that AdamW keeps for each weight that learns."""

DECODER_FLOATS = {"float32": 1.35, "bfloat16": 0.8}
"""Numbers of four bytes kept for the backward pass, for each output of a linear layer and each token, with adapters or
without: 1.11 and 0.67 of a Llama of 135 million weights, a tenth more where heads have norms, and the rest is lost to
fragmentation."""

ACTIVATION_FLOATS, ADAPTED_FLOATS = 2.5, 4.5
"""The same for a network that transformers runs, without adapters and with them.

Measured on the same Llama: autograd keeps 2.4 and 2.2; fragmentation is higher with adapters because they allocate
short-lived tensors in between.
"""

LOGITS_BYTES = 4 * (32 << 20) + (128 << 20)
"""Logits that are held at a time, with what the backward pass makes of them; see `models.network.logprobs`."""

PROGRAM_BYTES = 400 << 20
"""Python, torch and transformers themselves, in main memory."""

SAFE_SHARE = 0.8
"""The part of the available memory that is planned with: estimates are off by some per cent, and other programs run."""

MAX_TOKENS, MAX_TOKENS_ACCELERATED = 4096, 16384
"""Tokens of a micro-batch beyond which more at a time gain nothing, on a processor and on an accelerator."""

CACHE_BYTES, ACCELERATED_CACHE_BYTES = 1 << 30, 16 << 30
"""What an engine's keys and values take at most, on a processor and on an accelerator."""

Precision = Literal["float32", "bfloat16"]
"""What matrix products are computed in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """The sizes of a model that its use of memory follows from."""

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
    is_known_decoder: bool
    """Whether Verifine runs the layers itself (`models.network.decoder`) and not transformers."""
    frozen_linear: int = 0
    """Weights of linear layers that do not learn, because adapters do; without the vocabulary head."""
    is_bfloat16: bool = False
    """Whether its files have weights in bfloat16."""

    @property
    def own_parameters(self) -> int:
        """Those of the model, without adapters."""
        return self.parameters if self.trainable == self.parameters else self.parameters - self.trainable


@dataclass(frozen=True, slots=True, kw_only=True)
class AvailableMemory:
    """A memory, and how much of it this process can have."""

    place: str
    """`memory`, or which accelerator's."""
    size: int
    """In bytes, including what the process holds already."""
    is_main: bool
    """Whether it holds the program too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """How much memory a run allows itself."""

    micro_batch_tokens: int
    """Tokens of one forward and backward pass; a rollout is never split."""
    cache_bytes: int
    """Most that the engine's keys and values take; a group is never split."""
    recompute: bool
    """Whether activations are computed again in the backward pass instead of kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The lengths that a step works on, in tokens."""

    prompt: int
    """The longest."""
    answer: float
    """The usual one, or the longest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryNeeds:
    """Everything about a run that its use of memory follows from."""

    shape: ModelShape
    precision: Precision
    has_adapters: bool
    base_bits: Literal[8, 4] | None
    """What frozen linear layers are held in; None: in numbers that products take."""
    engine_copy_bytes: int
    """What a copy of the weights takes that an engine samples from; 0: it samples from the weights themselves."""
    has_reference: bool
    """Whether a frozen copy of the starting model is kept; the adapters of a model can be switched off instead."""
    has_critic_model: bool
    """Whether the critic is a second model that learns."""
    prompts_per_step: int
    group_size: int
    """The most answers that are sampled of a prompt at the same time."""
    max_new_tokens: int
    accelerators: int = 1
    """Those that what learns is divided among. Each has a whole copy of the weights to sample from."""

    @property
    def quantized(self) -> int:
        """Frozen weights that there are in few bits only, and that no copy is made of."""
        return 0 if self.base_bits is None else self.shape.frozen_linear

    @property
    def held_in_bfloat16(self) -> int:
        """Frozen weights that there are in bfloat16 only; see `models.network.lora.hold_frozen_weights`."""
        shape = self.shape
        is_held = self.precision == "bfloat16" and shape.is_known_decoder and shape.is_bfloat16
        is_copied = self.engine_copy_bytes > 0 or self.quantized > 0
        return shape.frozen_linear if is_held and not is_copied else 0

    @classmethod
    def of(
        cls,
        config: RunConfig,
        shape: ModelShape,
        *,
        precision: Precision,
        max_new_tokens: int,
        accelerators: int = 1,
    ) -> MemoryNeeds:
        """The needs of a run; what a config may leave open is given."""
        critic, lora = config.algorithm.critic, config.model.lora
        return cls(
            shape=shape,
            precision=precision,
            has_adapters=lora is not None,
            base_bits=None if lora is None else lora.base_bits,
            engine_copy_bytes=config.engine.copy_bytes(shape.parameters),
            has_reference=config.algorithm.beta > 0 and lora is None,
            has_critic_model=critic is not None and critic.kind == "model",
            prompts_per_step=config.sampling.prompts_per_step,
            group_size=config.sampling.most_at_once,
            max_new_tokens=max_new_tokens,
            accelerators=accelerators,
        )


def resident_bytes(needs: MemoryNeeds, *, is_main: bool) -> Mapping[str, int]:
    """What is there all the time, by name; on each accelerator, if there are several."""
    shape = needs.shape
    copy_bytes = FLOAT_BYTES * shape.parameters
    weight_bytes = copy_bytes - (FLOAT_BYTES - BFLOAT16_BYTES) * needs.held_in_bfloat16
    if needs.base_bits is not None:
        weight_bytes -= round((FLOAT_BYTES - HELD_BYTES[needs.base_bits]) * needs.quantized)
    bfloat16 = bfloat16_bytes(needs, is_main=is_main)
    has_whole_copy = needs.accelerators == 1 or bfloat16 > 0 or needs.engine_copy_bytes > 0

    def divided(size: int) -> int:
        return -(-size // needs.accelerators)

    parts = {
        "the program": PROGRAM_BYTES if is_main else 0,
        "weights": divided(weight_bytes),
        "gradients": divided(FLOAT_BYTES * shape.trainable),
        "bfloat16 copies": bfloat16,
        "int8 copy": needs.engine_copy_bytes,
        "weights to sample from": 0 if has_whole_copy else copy_bytes,
        "AdamW": divided(ADAMW_FLOATS * FLOAT_BYTES * shape.trainable),
        "reference": divided(copy_bytes if needs.has_reference else 0),
        "critic": divided((2 + ADAMW_FLOATS) * copy_bytes if needs.has_critic_model else 0),
    }
    return {name: size for name, size in parts.items() if size}


def bfloat16_bytes(needs: MemoryNeeds, *, is_main: bool) -> int:
    """What copies of the weights for bfloat16 products take: on a processor, the engine has one of its own."""
    if needs.precision != "bfloat16" or not needs.shape.is_known_decoder:
        return 0
    copies = 1 + is_main + needs.has_reference + needs.has_critic_model
    # Where weights are not divided, those held in bfloat16 are their own copy.
    own = needs.held_in_bfloat16 if needs.accelerators == 1 else 0
    if needs.base_bits is None:
        return BFLOAT16_BYTES * (copies * needs.shape.parameters - own)
    with_critic = needs.shape.parameters if needs.has_critic_model else 0
    return BFLOAT16_BYTES * ((1 + is_main) * (needs.shape.parameters - needs.quantized) + with_critic)


def activation_bytes(needs: MemoryNeeds, *, recompute: bool) -> float:
    """What the backward pass needs for each token of a micro-batch."""
    shape = needs.shape
    by_transformers = ADAPTED_FLOATS if needs.has_adapters else ACTIVATION_FLOATS
    floats = shape.linear_outputs * (DECODER_FLOATS[needs.precision] if shape.is_known_decoder else by_transformers)
    if recompute and shape.layers:
        # The inputs of all layers, and everything inside the one layer that is computed again at the moment.
        floats = shape.layers * shape.width + floats / shape.layers
    return FLOAT_BYTES * floats * (2 if needs.has_critic_model else 1)


def update_bytes(needs: MemoryNeeds) -> int:
    """What an update takes on top of that, however small its micro-batches are."""
    shape = needs.shape
    head_gradient = 2 * FLOAT_BYTES * shape.head if shape.trainable == shape.parameters else 0
    is_cast = needs.precision == "bfloat16" and not shape.is_known_decoder
    low_precision = BFLOAT16_BYTES * (shape.parameters - needs.quantized) if is_cast else 0
    return LOGITS_BYTES + head_gradient + low_precision + gathered_bytes(needs)


def gathered_bytes(needs: MemoryNeeds) -> int:
    """What an update gathers of weights that are divided: two layers at a time, and the head, with their gradients."""
    shape = needs.shape
    if needs.accelerators == 1:
        return 0
    inside = max(shape.parameters - shape.head, 0)
    layers = 2 * inside // shape.layers if shape.layers else inside
    copies = 2 if shape.trainable == shape.parameters else 1
    return FLOAT_BYTES * copies * (layers + shape.head)


def cache_bytes(needs: MemoryNeeds, prompt: int, groups: int) -> int:
    """What the keys and values of so many groups take in float32, once every answer has its full length.

    An estimate: in bfloat16 they take half, and places to spare may take more, up to what the engine is allowed.
    """
    return groups * needs.shape.cached_bytes_per_token * (prompt + needs.group_size * needs.max_new_tokens)


def peak_bytes(needs: MemoryNeeds, workload: Workload, plan: MemoryPlan) -> int:
    """What a step takes on top of what is resident: the larger of what sampling and an update take."""
    groups = needs.prompts_per_step
    everything = groups * (workload.prompt + needs.group_size * workload.answer)
    tokens = max(workload.prompt + workload.answer, min(plan.micro_batch_tokens, everything))
    update = activation_bytes(needs, recompute=plan.recompute) * tokens + update_bytes(needs)
    one, all_groups = (cache_bytes(needs, workload.prompt, count) for count in (1, groups))
    return round(max(update, min(all_groups, max(one, plan.cache_bytes))))


def least_bytes(needs: MemoryNeeds, workload: Workload, *, is_main: bool) -> int:
    """What a run takes that does as little as possible at a time: one answer, and its activations computed again."""
    plan = MemoryPlan(micro_batch_tokens=1, cache_bytes=1, recompute=needs.shape.layers > 0)
    return sum(resident_bytes(needs, is_main=is_main).values()) + peak_bytes(needs, workload, plan)


def plan_memory(
    needs: MemoryNeeds, longest_prompt: int, available: AvailableMemory, micro_batch_tokens: int | Literal["auto"]
) -> MemoryPlan:
    """As much at a time as fits and is of use; the minimum where nothing fits.

    Numbers are rounded down to powers of two, so that a few bytes more or less of free memory do not change the order
    in which gradients are added up.
    """
    rollout = longest_prompt + needs.max_new_tokens
    resident = sum(resident_bytes(needs, is_main=available.is_main).values())
    free = max(round(SAFE_SHARE * available.size) - resident, 0)
    for_activations = free - update_bytes(needs)
    recompute = needs.shape.layers > 0 and rollout * activation_bytes(needs, recompute=False) > for_activations
    fitting = _round_down(int(for_activations / activation_bytes(needs, recompute=recompute)))
    useful = MAX_TOKENS if available.is_main else MAX_TOKENS_ACCELERATED
    return MemoryPlan(
        micro_batch_tokens=max(rollout, min(fitting, useful)) if micro_batch_tokens == "auto" else micro_batch_tokens,
        cache_bytes=min(_round_down(free), CACHE_BYTES if available.is_main else ACCELERATED_CACHE_BYTES),
        recompute=recompute,
    )


def _round_down(number: int) -> int:
    """The greatest power of two that is not more; 1 at least."""
    return 1 << max(number, 1).bit_length() - 1
