"""Which architectures Verifine trains, what of a model's config it depends on, and why it refuses the others."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub.errors import StrictDataclassError
from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PretrainedConfig

from verifine.errors import ModelError

ADAPTER_CONFIG = "adapter_config.json"
"""The file that makes transformers load another model, the one that it names, and an adapter on top."""

_CONFIG_FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, StrictDataclassError)
"""What transformers raises for a config with values that make no sense."""

_LAYER_TYPES = ("full_attention", "sliding_attention")

_EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")


@dataclass(frozen=True, slots=True, kw_only=True)
class SupportedArchitecture:
    """An architecture whose results are compared with those of plain transformers in Verifine's own tests."""

    model_type: str
    """As in `config.json`."""
    name: str
    models: str
    """Models that have it."""
    traits: str
    """What sets it apart from Llama, as far as Verifine has to know."""


SUPPORTED = (
    SupportedArchitecture(
        model_type="llama", name="Llama", models="Llama 2 and 3, SmolLM2", traits="the plain case: tied or untied head"
    ),
    SupportedArchitecture(
        model_type="mistral", name="Mistral", models="Mistral 7B", traits="a sliding window in every layer, or none"
    ),
    SupportedArchitecture(
        model_type="qwen2",
        name="Qwen2",
        models="Qwen2, Qwen2.5",
        traits="biases on queries, keys and values; sliding and full layers, or full ones alone",
    ),
    SupportedArchitecture(model_type="qwen3", name="Qwen3", models="Qwen3", traits="norms on queries and keys"),
    SupportedArchitecture(
        model_type="gemma3_text",
        name="Gemma 3",
        models="Gemma 3 270M and 1B",
        traits="sliding and full layers with angles of their own, norms on queries and keys, norms after each half of "
        "a layer, scaled embeddings, logits with or without a cap",
    ),
    SupportedArchitecture(
        model_type="smollm3", name="SmolLM3", models="SmolLM3", traits="layers without rotary embedding"
    ),
    SupportedArchitecture(
        model_type="phi3",
        name="Phi-3 and Phi-4",
        models="Phi-3, Phi-4, Phi-4-mini",
        traits="queries, keys and values in one layer, as are gate and up; a part of each head is rotated or all of it",
    ),
    SupportedArchitecture(
        model_type="olmo2",
        name="OLMo 2",
        models="OLMo 2",
        traits="norms after each half of a layer, norms on all queries and on all keys together",
    ),
    SupportedArchitecture(
        model_type="olmo3", name="OLMo 3", models="OLMo 3", traits="as OLMo 2, with sliding and full layers"
    ),
    SupportedArchitecture(
        model_type="granite",
        name="Granite",
        models="Granite 3",
        traits="scaled embeddings, residuals, attention scores and logits",
    ),
    SupportedArchitecture(
        model_type="qwen3_moe",
        name="Qwen3-MoE",
        models="Qwen3-30B-A3B",
        traits="a mixture of experts: float32 only; adapters are on attention alone",
    ),
)

_SUPPORTED_WORDS = (
    "Verifine trains text decoders with softmax attention, such as " + ", ".join(each.name for each in SUPPORTED) + "."
)


def read_config(folder: Path, name: str) -> PretrainedConfig:
    """The config of the model in `folder`, for a model that may be trained; no weight is read.

    Raises:
        ModelError: transformers does not know the architecture, or Verifine does not train such a model.
    """
    if (folder / ADAPTER_CONFIG).is_file():
        raise ModelError(
            f"{name} is an adapter of {_base_of(folder)}, not a model ({folder / ADAPTER_CONFIG}). Merge it into that "
            f"model (peft's merge_and_unload) and give the merged folder, or remove {ADAPTER_CONFIG} if the folder's "
            "own weights are meant."
        )
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type = settings.get("model_type") if isinstance(settings, dict) else None
        if isinstance(model_type, str) and model_type not in CONFIG_MAPPING:
            raise ModelError(
                f"{name} cannot be loaded: transformers {transformers.__version__} has no architecture {model_type!r}. "
                + _SUPPORTED_WORDS
            )
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _CONFIG_FAULTS as error:
        raise ModelError(
            f"{name} cannot be loaded: {folder / 'config.json'}: {' '.join(str(error).split())}. Correct it, save the "
            "model again, or fetch it anew."
        ) from error
    if quantization := settings.get("quantization_config"):
        raise ModelError(
            f"the weights of {name} are quantised ({quantization.get('quant_method', 'quantization_config')}), and "
            "what training changes is smaller than their steps. Take the model that they were made from."
        )
    if reason := _refusal(config):
        raise ModelError(f"{name} ({config.model_type}) {reason}; {_SUPPORTED_WORDS}")
    return config


def has_experts(config: PretrainedConfig) -> bool:
    """Whether a token goes through some of many feed-forward networks only."""
    settings = config.to_dict()
    return any((settings.get(count) or 0) > 1 for count in _EXPERT_COUNTS)


def usable_context(config: PretrainedConfig) -> int:
    """How many tokens a model reads as it would read them in any company.

    With LongRoPE, transformers turns all tokens of a pass by other angles as soon as one of them lies beyond the length
    that the model was first trained on. So a token's log-probability would depend on what is computed beside it.
    """
    settings = config.to_dict()
    lengths = [each["original_max_position_embeddings"] for each in _rope_settings(settings) if _is_longrope(each)]
    return int(min([config.max_position_embeddings, *lengths]))


def windowed_layers(config: PretrainedConfig) -> int | None:
    """How many layers have a sliding window; None: the config does not tell."""
    settings = config.to_dict()
    if settings.get("sliding_window") is None:
        return 0
    types = settings.get("layer_types")
    return types.count("sliding_attention") if types else None


def _refusal(config: PretrainedConfig) -> str | None:
    """Why a model cannot be trained; None: as far as its config tells, it can."""
    settings = config.to_dict()
    model_class = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    others = sorted(set(settings.get("layer_types") or ()) - set(_LAYER_TYPES))
    if config.is_encoder_decoder:
        return "is an encoder-decoder"
    if config.get_text_config() is not config:
        return "reads more than text"
    if model_class is None:
        return "does not write text"
    if model_class._is_stateful:
        return "has state-space or other recurrent layers"
    if others:
        return f"has layers of {' and '.join(others)}"
    if settings.get("attn_logit_softcapping"):
        return "caps its attention scores"
    return None


def _rope_settings(settings: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The rotary embedding's, or those of each type of layer."""
    rope = settings.get("rope_parameters") or {}
    yield from [rope] if "rope_type" in rope else [each for each in rope.values() if isinstance(each, Mapping)]


def _is_longrope(rope: Mapping[str, Any]) -> bool:
    return rope.get("rope_type") == "longrope"


def _base_of(folder: Path) -> str:
    """The model that an adapter says it belongs to."""
    try:
        base = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError):
        base = None
    return str(base) if base else "another model"
