"""The shape of a model from the numbers in its `config.json`, without torch and without weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from verifine.config import LoraConfig
from verifine.config.memory import FLOAT_BYTES, ModelShape

DecoderType = Literal["llama", "qwen2", "qwen3", "gemma3_text", "smollm3"]
"""`model_type` of transformers."""

_RUN_BY_VERIFINE: frozenset[DecoderType] = frozenset({"llama", "qwen2", "qwen3"})
"""See `models.network.decoder`; a test compares the two."""

_HEAD_NORMS: frozenset[DecoderType] = frozenset({"qwen3", "gemma3_text"})
"""Types that normalise each head of queries and keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderSizes:
    """The sizes of a dense decoder, with the names of transformers' configs."""

    model_type: DecoderType
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    tie_word_embeddings: bool

    def linear_layers(self) -> Mapping[str, tuple[int, int]]:
        """The inputs and outputs of the linear layers of one decoder layer, by name."""
        queries = self.num_attention_heads * self.head_dim
        keys = self.num_key_value_heads * self.head_dim
        return {
            "q_proj": (self.hidden_size, queries),
            "k_proj": (self.hidden_size, keys),
            "v_proj": (self.hidden_size, keys),
            "o_proj": (queries, self.hidden_size),
            "gate_proj": (self.hidden_size, self.intermediate_size),
            "up_proj": (self.hidden_size, self.intermediate_size),
            "down_proj": (self.intermediate_size, self.hidden_size),
        }

    def shape(self, lora: LoraConfig | None) -> ModelShape:
        """What `shape_of_config` gives for the same config, with the adapters that `lora` would give the model.

        Weights are taken to be stored in bfloat16.
        """
        linear = self.linear_layers()
        head = self.vocab_size * self.hidden_size
        layer = sum(inputs * outputs for inputs, outputs in linear.values()) + self._biases() + self._norms()
        embeddings = head if self.tie_word_embeddings else 2 * head
        plain = embeddings + self.num_hidden_layers * layer + self.hidden_size
        adapters = self.num_hidden_layers * sum(
            lora.rank * (inputs + outputs)
            for name, (inputs, outputs) in linear.items()
            if lora is not None and (lora.targets == "all-linear" or name in lora.targets)
        )
        return ModelShape(
            parameters=plain + adapters,
            trainable=plain if lora is None else adapters,
            linear_outputs=self.num_hidden_layers * sum(outputs for _, outputs in linear.values()),
            cached_bytes_per_token=FLOAT_BYTES * self.num_hidden_layers * (linear["k_proj"][1] + linear["v_proj"][1]),
            head=head,
            layers=self.num_hidden_layers,
            width=self.hidden_size,
            is_known_decoder=self.model_type in _RUN_BY_VERIFINE,
            frozen_linear=0 if lora is None else self.num_hidden_layers * sum(map(prod, linear.values())),
            is_bfloat16=True,
        )

    def _biases(self) -> int:
        """Of one layer: Qwen 2 has some for queries, keys and values."""
        if self.model_type != "qwen2":
            return 0
        return sum(self.linear_layers()[name][1] for name in ("q_proj", "k_proj", "v_proj"))

    def _norms(self) -> int:
        """Of one layer: before attention and before the multilayer perceptron; Gemma has two more, after each."""
        rows = 4 if self.model_type == "gemma3_text" else 2
        return rows * self.hidden_size + (2 * self.head_dim if self.model_type in _HEAD_NORMS else 0)
