"""Configs of tiny models: every architecture that Verifine supports, with everything that sets it apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from transformers import (
    Gemma3TextConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Olmo3Config,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

Architecture = Literal[
    "llama",
    "qwen2",
    "qwen2-windowed",
    "qwen3",
    "gemma3",
    "gemma3-capped",
    "mistral",
    "mistral-windowed",
    "smollm3",
    "phi3",
    "phi4-mini",
    "olmo2",
    "olmo3",
    "granite",
    "qwen3-moe",
]

EVERY_ARCHITECTURE: tuple[Architecture, ...] = get_args(Architecture)

ARCHITECTURES: tuple[Architecture, ...] = ("llama", "qwen2", "qwen3", "gemma3")
"""A few that differ in what most tests are about; those of `architecture_conformance` are run on every one."""

WINDOW = 6
"""Tokens that a sliding layer attends to: fewer than tests have."""

_TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

_SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}

_ALTERNATING = {"sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"]}

_PHI4_MINI = {
    "sliding_window": None,
    "original_max_position_embeddings": 128,
    "rope_parameters": {
        "rope_type": "longrope",
        "rope_theta": 10_000.0,
        "partial_rotary_factor": 0.75,
        "factor": 2.0,
        "short_factor": [1.0] * 6,
        "long_factor": [4.0] * 6,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tiny:
    kind: type[PretrainedConfig]
    tied: bool
    """Whether the embedding is also the vocabulary head."""
    settings: dict[str, Any] = field(default_factory=dict)


_HEADS = {"head_dim": 16}
_GEMMA3 = {**_HEADS, "query_pre_attn_scalar": 16, **_ALTERNATING}
_GRANITE = {
    "embedding_multiplier": 3.0,
    "residual_multiplier": 0.5,
    "attention_multiplier": 0.1,
    "logits_scaling": 0.5,
}
_EXPERTS = {**_HEADS, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": True}

_TINY: dict[Architecture, _Tiny] = {
    "llama": _Tiny(kind=LlamaConfig, tied=True, settings=_HEADS),
    "qwen2": _Tiny(kind=Qwen2Config, tied=True),
    "qwen2-windowed": _Tiny(kind=Qwen2Config, tied=False, settings={"use_sliding_window": True, **_ALTERNATING}),
    "qwen3": _Tiny(kind=Qwen3Config, tied=False, settings=_HEADS),
    "gemma3": _Tiny(kind=Gemma3TextConfig, tied=True, settings=_GEMMA3),
    "gemma3-capped": _Tiny(kind=Gemma3TextConfig, tied=True, settings={**_GEMMA3, "final_logit_softcapping": 5.0}),
    "mistral": _Tiny(kind=MistralConfig, tied=False, settings={"sliding_window": None}),
    "mistral-windowed": _Tiny(kind=MistralConfig, tied=False, settings={"sliding_window": WINDOW}),
    "smollm3": _Tiny(kind=SmolLM3Config, tied=True, settings={"no_rope_layers": [1, 0]}),
    "phi3": _Tiny(kind=Phi3Config, tied=False, settings={"sliding_window": WINDOW}),
    "phi4-mini": _Tiny(kind=Phi3Config, tied=True, settings=_PHI4_MINI),
    "olmo2": _Tiny(kind=Olmo2Config, tied=False),
    "olmo3": _Tiny(kind=Olmo3Config, tied=False, settings=_ALTERNATING),
    "granite": _Tiny(kind=GraniteConfig, tied=False, settings=_GRANITE),
    "qwen3-moe": _Tiny(kind=Qwen3MoeConfig, tied=False, settings=_EXPERTS),
}


def tiny_config(architecture: Architecture, vocabulary: int = 99, *, tied: bool | None = None) -> PretrainedConfig:
    """Two layers, 64 wide, four query heads on two key-value heads.

    Args:
        architecture: What it is a config of.
        vocabulary: Rows of the embedding; the tiny tokenizer has 99 tokens.
        tied: Whether the embedding is also the vocabulary head; None: as most models of the architecture have it.
    """
    tiny = _TINY[architecture]
    settings = {**_SHAPE, **_TOKENS, **tiny.settings}
    is_tied = tiny.tied if tied is None else tied
    return tiny.kind(**settings, vocab_size=vocabulary, tie_word_embeddings=is_tied)
