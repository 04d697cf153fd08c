"""Hidden states of a tree's predictions, and log-probabilities of its completions."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from verifine.models.network.flex import FlexTreeAttention
from verifine.models.network.logprobs import token_logprobs
from verifine.models.network.tree import Tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import Trunk
from verifine.models.network.vocabulary import VocabularyHead


def tree_logprobs(
    trunk: Trunk, head: VocabularyHead, tree: Tree, temperature: float, *, recompute: bool = False
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The log-probability and entropy of every completion token of a tree, in the tree's order."""
    hidden = tree_hidden_states(trunk, tree, recompute=recompute)
    return predicted_logprobs(head, hidden.to(trunk.compute_dtype), tree, temperature)


def tree_hidden_states(trunk: Trunk, tree: Tree, *, recompute: bool = False) -> Float[Tensor, "U H"]:
    """The hidden state behind each distinct prediction of a tree. `recompute`: see `Trunk.hidden_states`."""
    attention = FlexTreeAttention(tree) if tree.token_ids.is_cuda else TreeAttention(tree)
    hidden = trunk.hidden_states(tree.token_ids, tree.position_ids, attention, recompute=recompute)
    return hidden[tree.predecessors]


def predicted_logprobs(
    head: VocabularyHead,
    hidden: Float[Tensor, "U H"],
    tree: Tree,
    temperature: float,
    entropy_min_p: float = 0.0,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The log-probability and entropy of every completion token, from the hidden states of the predictions.

    `entropy_min_p`: see `token_logprobs`.
    """
    logprobs, entropy = token_logprobs(hidden, head, tree.targets, temperature, entropy_min_p)
    return tree.spread(logprobs), tree.spread(entropy)
