"""The critic of PPO: it estimates before each action token what reward will follow."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import Parameter
from transformers import PreTrainedModel

from verifine.learner.optim import OptimSettings
from verifine.models.load import LanguageModel
from verifine.models.network.forward import tree_hidden_states
from verifine.models.network.tree import Tree


class Critic(Protocol):
    """Estimates values, and learns from the returns."""

    @property
    def settings(self) -> OptimSettings:
        """The settings of its own optimiser."""
        ...

    @property
    def network(self) -> PreTrainedModel | None:
        """Its own language model; None: it reads the policy's hidden states."""
        ...

    def values(
        self, tree: Tree, hidden: Float[Tensor, "U H"] | None, *, recompute: bool = False
    ) -> Float[Tensor, " N"]:
        """The expected reward before each completion token.

        `hidden` is the policy's state at each distinct prediction; it may be None for a critic with a trunk of its
        own, which `recompute` is for: see `Trunk.hidden_states`.
        """
        ...

    def parameters(self) -> dict[str, Parameter]:
        """The critic's own parameters, by name."""
        ...


class ValueHead:
    """A linear layer on the policy's own hidden states; its loss moves the policy's trunk as well.

    It starts at 0 everywhere, so it has no gradient for the trunk before it has learned something.
    """

    network = None

    def __init__(self, model: LanguageModel, settings: OptimSettings) -> None:
        self.settings = settings
        self._layer = _Linear(model)

    def values(
        self,
        tree: Tree,
        hidden: Float[Tensor, "U H"] | None,
        *,
        recompute: bool = False,  # noqa: ARG002 - the policy has read the tree
    ) -> Float[Tensor, " N"]:
        assert hidden is not None, "a head needs the policy's hidden states"
        return tree.spread(self._layer(hidden))

    def parameters(self) -> dict[str, Parameter]:
        return self._layer.parameters()


class CriticModel:
    """A value head on a language model of its own: its loss leaves the policy alone, for twice the memory."""

    def __init__(self, model: LanguageModel, settings: OptimSettings) -> None:
        self.settings = settings
        self.network = model.network
        self._model = model
        self._layer = _Linear(model)

    def values(
        self,
        tree: Tree,
        hidden: Float[Tensor, "U H"] | None,  # noqa: ARG002 - it has a trunk of its own
        *,
        recompute: bool = False,
    ) -> Float[Tensor, " N"]:
        return tree.spread(self._layer(tree_hidden_states(self._model.trunk, tree, recompute=recompute)))

    def parameters(self) -> dict[str, Parameter]:
        # The vocabulary head is not used, unless it is the embedding as well.
        trunk = self._model.network.base_model.named_parameters()
        layer = self._layer.parameters()
        return {
            **{f"trunk.{name}": parameter for name, parameter in trunk},
            **{f"head.{name}": parameter for name, parameter in layer.items()},
        }


class _Linear:
    """One number for each hidden state, 0 at first."""

    def __init__(self, model: LanguageModel) -> None:
        embedding = model.network.get_input_embeddings().weight
        assert isinstance(embedding, Tensor)
        self._weight = Parameter(torch.zeros_like(embedding[0]))
        self._bias = Parameter(torch.zeros_like(embedding[0, 0]))

    def __call__(self, hidden: Float[Tensor, "U H"]) -> Float[Tensor, " U"]:
        return hidden.to(self._weight.dtype) @ self._weight + self._bias

    def parameters(self) -> dict[str, Parameter]:
        return {"weight": self._weight, "bias": self._bias}


def explained_variance(values: Float[Tensor, " N"], returns: Float[Tensor, " N"]) -> float | None:
    """1 - Var(return - value) / Var(return): 1 is a perfect critic, 0 one that always gives the mean return.

    None: all returns are equal.
    """
    variance = returns.var(correction=0)
    return None if variance <= 0 else (1 - (returns - values).var(correction=0) / variance).item()
