"""The rollout engine: it turns prompts into groups of sampled answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from verifine.models.fingerprint import Fingerprint
from verifine.models.load import Weights
from verifine.types import Group, Prompt, Rollout, Sampling

FLOAT32_ROUNDING_NATS, BFLOAT16_ROUNDING_NATS = 1e-3, 0.2
"""Mean differences of log-probabilities that rounding does not reach, at temperature 1.

Measured with SmolLM2-135M: in float32 1e-6 on the canary's probe and 3e-6 on rollouts, in bfloat16 0.02 on rollouts.
The wrong temperature, 0.8 for 1, is 1.1 on the probe.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What the rest of a run has to know about an engine."""

    is_exact: bool
    """Whether it always samples from the policy itself, up to floating-point rounding. If not, the learner must correct
    for the difference, and `Sampling.is_exact` asks for the policy itself."""
    shares_weights: bool
    """Whether it samples from the learner's own tensors, so that an update needs no copy."""
    resident_bytes: int
    """Memory that it holds all the time, besides weights that it shares."""
    rounding_nats: float
    """How far its log-probabilities may be from the learner's at temperature 1, on average, because of rounding."""


class RolloutEngine(Protocol):
    """Samples from a policy. Its weights can be replaced.

    The random numbers of a rollout depend on seed, step, prompt and sample alone, so a rollout does not depend on what
    is sampled beside it.
    """

    @property
    def traits(self) -> EngineTraits: ...

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
    ) -> list[Group]:
        """A group of rollouts for each prompt, in the order of the prompts.

        `samples` are the numbers of each prompt's rollouts, which their random numbers follow from: one that is asked
        for later, or of another engine, is the one that it would have been among all. None: `sampling.group_size`, from
        0 on.

        Raises:
            EngineError: a prompt has an id that no token has, or does not fit the model's context with its answer.
        """
        ...

    def load_weights(self, weights: Weights, version: int) -> None:
        """Samples from `weights` from now on; rollouts carry `version`."""
        ...

    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:
        """The log-probability that each token of `rollouts` would have if it were drawn now, as `sampling` says.

        The canary compares these with the policy's, so they must come from the weights, the temperature and the
        truncation that `generate` actually samples with. A token that cannot be drawn has minus infinity.
        """
        ...

    def fingerprint(self) -> Fingerprint:
        """The fingerprint of the engine's current weights, by the learner's names."""
        ...

    def close(self) -> None:
        """Frees what the engine holds; it is not used afterwards. Closing twice is allowed."""
        ...


def rounding_nats(compute_dtype: torch.dtype) -> float:
    """`EngineTraits.rounding_nats` of an exact engine that multiplies matrices in this type."""
    return FLOAT32_ROUNDING_NATS if compute_dtype in (torch.float32, torch.float64) else BFLOAT16_ROUNDING_NATS
