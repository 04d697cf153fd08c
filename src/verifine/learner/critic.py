"""The critic: what reward it expects before each action token, for PPO."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter

from verifine.models.forward import tree_hidden_states
from verifine.models.load import LanguageModel
from verifine.models.tree import Tree


class Critic(Protocol):
    """Says what it expects, and learns to expect better."""

    def values(self, hidden: Float[Tensor, "N H"], tree: Tree) -> Float[Tensor, " N"]:
        """The expected reward before each completion token; `hidden` is the policy's state there."""
        ...

    def parameters(self) -> dict[str, Parameter]:
        """What is the critic's own, by name."""
        ...


class ValueHead:
    """A linear layer on the policy's own hidden states; its loss moves the policy's trunk as well.

    It starts at 0 everywhere, so it neither invents values nor disturbs the trunk before it has learned something.
    """

    def __init__(self, model: LanguageModel) -> None:
        size = model.network.get_input_embeddings().weight.shape[1]
        dtype = model.network.dtype
        self._weight = Parameter(torch.zeros(size, dtype=dtype, device=model.device))
        self._bias = Parameter(torch.zeros((), dtype=dtype, device=model.device))

    def values(self, hidden: Float[Tensor, "N H"], tree: Tree) -> Float[Tensor, " N"]:  # noqa: ARG002 - the trunk has read it
        return hidden.to(self._weight.dtype) @ self._weight + self._bias

    def parameters(self) -> dict[str, Parameter]:
        return {"weight": self._weight, "bias": self._bias}


class CriticModel:
    """A language model of its own under a value head: nothing it learns touches the policy, at twice the memory."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self._head = ValueHead(model)

    def values(self, hidden: Float[Tensor, "N H"], tree: Tree) -> Float[Tensor, " N"]:  # noqa: ARG002 - it reads for itself
        own = tree_hidden_states(self._model.network, tree, self._model.compute_dtype)
        return self._head.values(own, tree)

    def parameters(self) -> dict[str, Parameter]:
        # The vocabulary head takes no part, unless it is the embedding as well.
        trunk = dict(self._model.network.base_model.named_parameters())
        return {**{f"trunk.{name}": parameter for name, parameter in trunk.items()}, **self._head_parameters()}

    def _head_parameters(self) -> dict[str, Parameter]:
        return {f"head.{name}": parameter for name, parameter in self._head.parameters().items()}
