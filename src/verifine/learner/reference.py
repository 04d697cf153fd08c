"""The reference: the model that training started from, which the KL penalty compares with."""

from __future__ import annotations

from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from verifine.models.load import LanguageModel
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.lora import adapters_off
from verifine.models.network.tree import Tree


class Reference(Protocol):
    """Gives the log-probability of each completion token under the starting model."""

    def logprobs(self, tree: Tree, temperature: float) -> Float[Tensor, " N"]: ...


class FrozenModel:
    """A copy of the starting model, which takes its memory a second time."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def logprobs(self, tree: Tree, temperature: float) -> Float[Tensor, " N"]:
        return tree_logprobs(self._model.trunk, self._model.head, tree, temperature)[0]


class WithoutAdapters:
    """The policy with its LoRA adapters switched off, which is the starting model and takes no memory."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def logprobs(self, tree: Tree, temperature: float) -> Float[Tensor, " N"]:
        with adapters_off(self._model.network):
            return tree_logprobs(self._model.trunk, self._model.head, tree, temperature)[0]
