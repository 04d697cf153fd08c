"""The rollout engine: what turns prompts into groups of sampled answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from verifine.models.fingerprint import Fingerprint
from verifine.models.load import Weights
from verifine.types import Group, Prompt, Rollout, Sampling


class RolloutEngine(Protocol):
    """Samples from a policy whose weights can be replaced."""

    def generate(self, prompts: Sequence[Prompt], sampling: Sampling) -> list[Group]:
        """`sampling.group_size` rollouts for each prompt, in the order of the prompts.

        Raises:
            EngineError: a prompt and its answer do not fit the model's context.
        """
        ...

    def load_weights(self, weights: Weights, version: int) -> None:
        """Samples from `weights` from now on; rollouts carry `version`."""
        ...

    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        """The log-probability that each token of `rollouts` would have if it were drawn now, as `sampling` says.

        For the canary: it is to come from the weights, temperature and truncation that `generate` samples with, not
        from what the engine believes them to be. A token that cannot be drawn has minus infinity.
        """
        ...

    def fingerprint(self) -> Fingerprint:
        """Of the weights that the engine has now, by the learner's names."""
        ...
