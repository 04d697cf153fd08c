"""Forward passes over flat tokens: hidden states, and log-probabilities of a tree's completions."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.network.attention import Attention, TreeAttention
from verifine.models.network.flex import FlexTreeAttention
from verifine.models.network.logprobs import token_logprobs
from verifine.models.network.tree import Tree
from verifine.models.network.vocabulary import VocabularyHead


def hidden_states(
    model: PreTrainedModel, token_ids: Int[Tensor, " T"], position_ids: Int[Tensor, " T"], attention: Attention
) -> Float[Tensor, "T H"]:
    """The last layer's normalised hidden states of flat tokens that attend as `attention` says."""
    output = model.base_model(
        input_ids=token_ids[None], position_ids=position_ids[None], use_cache=False, verifine_attention=attention
    )
    hidden: Tensor = output.last_hidden_state[0]
    return hidden


def tree_logprobs(
    model: PreTrainedModel, head: VocabularyHead, tree: Tree, temperature: float, compute_dtype: torch.dtype
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The log-probability and entropy of every completion token of a tree, in the tree's order."""
    hidden = tree_hidden_states(model, tree, compute_dtype)
    return predicted_logprobs(head, hidden.to(compute_dtype), tree, temperature)


def tree_hidden_states(model: PreTrainedModel, tree: Tree, compute_dtype: torch.dtype) -> Float[Tensor, "U H"]:
    """The hidden state behind each distinct prediction of a tree."""
    attention = FlexTreeAttention(tree) if model.device.type == "cuda" else TreeAttention(tree)
    with matmul_precision(model.device, compute_dtype):
        return hidden_states(model, tree.token_ids, tree.position_ids, attention)[tree.predecessors]


def predicted_logprobs(
    head: VocabularyHead, hidden: Float[Tensor, "U H"], tree: Tree, temperature: float
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The log-probability and entropy of every completion token, from the hidden states of the predictions."""
    logprobs, entropy = token_logprobs(hidden, head, tree.targets, temperature)
    return tree.spread(logprobs), tree.spread(entropy)


def matmul_precision(device: torch.device, compute_dtype: torch.dtype) -> AbstractContextManager[None]:
    """Computes matrix products in `compute_dtype` with float32 weights; sensitive operations stay in float32."""
    if compute_dtype in (torch.float32, torch.float64):
        return nullcontext()
    return torch.autocast(device.type, dtype=compute_dtype)
