"""Decoders that Verifine runs itself: a table of transformers' architectures that are the same but for details.

A layer is x + o(attention(q, k, v of norm(x))), then x + down(silu(gate) * up) of norm(x). Every other architecture
is run by transformers; see `trunk`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import PreTrainedModel

from verifine.models.network.attention import Heads
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk

_LAYER_CLASSES = frozenset(
    f"transformers.models.{name}.modeling_{name}.{class_name}DecoderLayer"
    for name, class_name in (("llama", "Llama"), ("mistral", "Mistral"), ("qwen2", "Qwen2"), ("qwen3", "Qwen3"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Norm:
    """A root mean square norm."""

    gain: nn.Parameter
    epsilon: float

    @classmethod
    def of(cls, module: nn.Module) -> Norm:
        """Of a transformers module."""
        gain, epsilon = module.weight, module.variance_epsilon
        assert isinstance(gain, nn.Parameter)
        assert isinstance(epsilon, float)
        return cls(gain=gain, epsilon=epsilon)


@dataclass(frozen=True, slots=True, kw_only=True)
class Angles:
    """The angles that the positions of T tokens turn queries and keys by."""

    cos: Float[Tensor, "T 1 D"]
    sin: Float[Tensor, "T 1 D/2"]

    @classmethod
    def of(cls, cos: Float[Tensor, "T D"], sin: Float[Tensor, "T D"]) -> Angles:
        """As transformers gives them: each twice."""
        return cls(cos=cos[:, None], sin=sin[:, None, : sin.shape[-1] // 2])


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLayer:
    """One layer: transformers' modules, which hold the weights, and what its attention needs."""

    index: int
    input_norm: Norm
    queries: nn.Module
    keys: nn.Module
    values: nn.Module
    query_norm: Norm | None
    """Of each query head; `key_norm` of each key head. None: there is none."""
    key_norm: Norm | None
    output: nn.Module
    middle_norm: Norm
    gate: nn.Module
    up: nn.Module
    down: nn.Module
    query_heads: int
    key_heads: int
    scale: float
    window: int | None

    @property
    def has_head_norms(self) -> bool:
        return self.query_norm is not None

    def heads(
        self, query: Float[Tensor, "Hq T D"], key: Float[Tensor, "Hk T D"], value: Float[Tensor, "Hk T D"]
    ) -> Heads:
        """What its attention gets."""
        return Heads(layer=self.index, query=query, key=key, value=value, scale=self.scale, window=self.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A language model without its vocabulary head."""

    network: PreTrainedModel
    """The one that all modules are of."""
    embedding: nn.Module
    rotary: nn.Module
    """Gives the cosines and sines of positions."""
    layers: tuple[DecoderLayer, ...]
    norm: nn.Module


def is_known_decoder(network: PreTrainedModel) -> bool:
    """Whether its layers are of a class that Verifine knows."""
    modules = _layer_modules(network)
    names = {f"{type(each).__module__}.{type(each).__qualname__}" for each in modules}
    return bool(modules) and names <= _LAYER_CLASSES and network.config.hidden_act == "silu"


def find_decoder(network: PreTrainedModel) -> Decoder | None:
    """The parts of a network. None: its architecture is not one of those that Verifine runs itself."""
    if not is_known_decoder(network):
        return None
    body, modules = network.base_model, _layer_modules(network)
    heads = _attention_inputs(network)
    return Decoder(
        network=network,
        embedding=network.get_input_embeddings(),
        rotary=body.get_submodule("rotary_emb"),
        layers=tuple(_layer(module, each) for module, each in zip(modules, heads, strict=True)),
        norm=body.get_submodule("norm"),
    )


def _layer_modules(network: PreTrainedModel) -> list[nn.Module]:
    body = network.base_model
    return list(body.get_submodule("layers").children()) if "layers" in dict(body.named_children()) else []


class _RecordedAttention(TreeAttention):
    """Notes what transformers passes to the attention of each layer."""

    def __init__(self, tree: Tree) -> None:
        super().__init__(tree)
        self.heads: list[Heads] = []

    def attend(self, heads: Heads) -> Tensor:
        self.heads.append(heads)
        return super().attend(heads)


@torch.no_grad()
def _attention_inputs(network: PreTrainedModel) -> list[Heads]:
    """The heads of each layer for one token."""
    tree = grow_tree([Branch(prompt=(0,))], network.device)
    recorded = _RecordedAttention(tree)
    TransformersTrunk(network, network.dtype).hidden_states(tree.token_ids, tree.position_ids, recorded)
    return recorded.heads


def _layer(module: nn.Module, heads: Heads) -> DecoderLayer:
    part = module.get_submodule
    has_head_norms = "q_norm" in dict(part("self_attn").named_children())
    return DecoderLayer(
        index=heads.layer,
        input_norm=Norm.of(part("input_layernorm")),
        queries=part("self_attn.q_proj"),
        keys=part("self_attn.k_proj"),
        values=part("self_attn.v_proj"),
        query_norm=Norm.of(part("self_attn.q_norm")) if has_head_norms else None,
        key_norm=Norm.of(part("self_attn.k_norm")) if has_head_norms else None,
        output=part("self_attn.o_proj"),
        middle_norm=Norm.of(part("post_attention_layernorm")),
        gate=part("mlp.gate_proj"),
        up=part("mlp.up_proj"),
        down=part("mlp.down_proj"),
        query_heads=heads.query.shape[0],
        key_heads=heads.key.shape[0],
        scale=heads.scale,
        window=heads.window,
    )
