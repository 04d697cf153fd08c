"""Which models can be GGUF files, and what their files say about their shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from gguf import MODEL_ARCH, GGUFWriter, RopeScalingType
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from verifine.errors import ModelError

_FAMILIES: Mapping[str, MODEL_ARCH] = {
    "llama": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
}
"""By transformers' name."""

_ELSEWHERE = "export it as merged, and convert that folder with llama.cpp's convert_hf_to_gguf.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufFamily:
    """A kind of model that GGUF has, and one model's shape."""

    architecture: MODEL_ARCH
    config: PretrainedConfig

    @property
    def head_dim(self) -> int:
        given = self.config.to_dict().get("head_dim")
        return given if isinstance(given, int) else self.config.hidden_size // self.config.num_attention_heads

    @property
    def pairs_neighbours(self) -> bool:
        """Whether rotary embedding turns row 2i with row 2i + 1 of a head; else row i with the one half a head on."""
        return self.architecture is MODEL_ARCH.LLAMA

    def heads_of(self, name: str) -> int | None:
        """How many heads the rows of a tensor belong to, of queries or keys; None: it is another tensor."""
        if ".q_proj." in name:
            return int(self.config.num_attention_heads)
        return int(self.config.num_key_value_heads) if ".k_proj." in name else None


def find_family(folder: Path) -> GgufFamily:
    """The family of the model in a folder.

    Raises:
        ModelError: GGUF files of it are not written here; the message says why.
    """
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    if config.model_type not in _FAMILIES:
        raise ModelError(
            f"{folder} is a {config.model_type} model, and GGUF files are written of {', '.join(_FAMILIES)} here; "
            f"{_ELSEWHERE}"
        )
    for obstacle in _obstacles(config):
        raise ModelError(f"{folder} has {obstacle}, which GGUF files are not written with here; {_ELSEWHERE}")
    return GgufFamily(architecture=_FAMILIES[config.model_type], config=config)


def _obstacles(config: PretrainedConfig) -> Iterator[str]:
    """What would be lost."""
    settings = config.to_dict()
    if settings.get("hidden_act") != "silu":
        yield f"the activation {settings.get('hidden_act')}"
    if settings.get("mlp_bias") or (config.model_type != "qwen2" and settings.get("attention_bias")):
        yield "biases"
    if settings.get("use_sliding_window"):
        yield "layers with a sliding window"
    kind = config.rope_parameters["rope_type"]
    if kind not in ("default", "llama3"):
        yield f"rotary embeddings of the kind {kind}"


def add_shape(writer: GGUFWriter, family: GgufFamily) -> None:
    """Writes how large the parts of the model are."""
    config = family.config
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(family.head_dim)
    writer.add_value_length(family.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(family.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_scaling_type(RopeScalingType.NONE)


def rope_divisors(family: GgufFamily) -> Tensor | None:
    """[head_dim / 2] What the rotary frequencies are divided by in models of long contexts (Llama 3.1); None: nothing.

    They are computed by transformers' own function, as the ratio of plain frequencies to scaled ones.
    """
    config, size = family.config, family.head_dim
    if config.rope_parameters["rope_type"] == "default":
        return None
    scaled, _ = ROPE_INIT_FUNCTIONS[config.rope_parameters["rope_type"]](config, torch.device("cpu"))
    plain = config.rope_parameters["rope_theta"] ** -(torch.arange(0, size, 2, dtype=torch.float32) / size)
    divisors: Tensor = plain / scaled
    return divisors
