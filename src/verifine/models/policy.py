"""What is trained, as everything outside the learner sees it: no network, so it may also live in other processes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.machine.disk import Disk
from verifine.models.export import save_model
from verifine.models.fingerprint import Fingerprint, take_fingerprint
from verifine.models.load import LanguageModel
from verifine.models.network.forward import tree_hidden_states, tree_logprobs
from verifine.models.network.lora import adapters_off, has_adapters
from verifine.models.network.tree import Branch, Tree, grow_tree
from verifine.types import Rollout, Sampling


class Policy(Protocol):
    """The weights that a learner trains, as they are now. n tokens of all rollouts end to end, V vocabulary."""

    def fingerprint(self) -> Fingerprint: ...

    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        """The log-probability of each token of each rollout, by the path that the learner learns by."""
        ...

    def starting_logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]] | None:
        """As `logprobs`, of the model without its adapters. None: it has no adapters."""
        ...

    def logits(self, rollouts: Sequence[Rollout]) -> Float[Tensor, "n V"]:
        """The logits that each token was predicted with, for looking into a mismatch on a few rollouts."""
        ...

    def export(self, folder: Path, disk: Disk) -> None:
        """Writes a model that plain transformers loads; the folder appears when it is complete.

        Raises:
            DiskError: it cannot be written; what was there before is unchanged.
        """
        ...


class ModelPolicy:
    """The policy whose weights are in this process. Rollouts are read in one pass, so there should be few."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model

    def fingerprint(self) -> Fingerprint:
        return take_fingerprint(self._model.network.state_dict())

    @torch.no_grad()
    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        if not any(rollout.token_ids for rollout in rollouts):
            return [[] for _ in rollouts]
        # At temperature 0 nothing is drawn; log-probabilities are then those at temperature 1.
        temperature = sampling.temperature or 1.0
        tree = self._tree(rollouts)
        logprobs, _ = tree_logprobs(self._model.trunk, self._model.head, tree, temperature)
        values = iter(logprobs.tolist())
        return [[next(values) for _ in rollout.token_ids] for rollout in rollouts]

    def starting_logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]] | None:
        if not has_adapters(self._model.network):
            return None
        with adapters_off(self._model.network):
            return self.logprobs(rollouts, sampling)

    @torch.no_grad()
    def logits(self, rollouts: Sequence[Rollout]) -> Float[Tensor, "n V"]:
        dtype, tree = self._model.compute_dtype, self._tree(rollouts)
        hidden = tree_hidden_states(self._model.trunk, tree).to(dtype)
        head = self._model.head
        logits = (hidden @ head.weight.to(dtype).T).to(torch.promote_types(dtype, torch.float32))
        return tree.spread(head.finish(logits))

    def export(self, folder: Path, disk: Disk) -> None:
        save_model(self._model, folder, disk)

    def _tree(self, rollouts: Sequence[Rollout]) -> Tree:
        branches = [Branch(prompt=each.prompt.token_ids, completions=[each.token_ids]) for each in rollouts]
        return grow_tree(branches, self._model.device)
