"""The table of algorithms, as names and numbers. The functions that a row names are in `verifine.algorithms`.

Whatever depends on the algorithm (config, check, diagnosis, documentation, learner) reads the row and not its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

Scaling = Literal["none", "std", "batch"]
AdvantageName = Literal["group_centered", "group_normalized", "batch_scaled", "leave_one_out", "returns_to_go", "gae"]
SurrogateName = Literal["clipped", "reinforce", "sequence_clipped", "cispo"]
AveragingName = Literal["token_mean", "sequence_mean", "prompt_mean", "constant_length", "rollout_sum"]
KLEstimatorName = Literal["k1", "k2", "k3"]
KLPlace = Literal["loss", "reward"]
GroupFilterName = Literal["has_signal"]

SCALINGS: Mapping[Scaling, AdvantageName] = {
    "none": "group_centered",
    "std": "group_normalized",
    "batch": "batch_scaled",
}
"""The advantages that `reward.scaling` chooses between."""

NEEDS_SIBLINGS: frozenset[AdvantageName] = frozenset({*SCALINGS.values(), "leave_one_out"})
"""Advantages that compare the answers to one prompt with each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KLPenalty:
    """How a row penalises leaving the reference model; `algorithm.beta` is the weight."""

    estimator: KLEstimatorName
    place: KLPlace
    """In the loss it has a gradient of its own; in the reward it is part of what advantages are computed from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One row of the table."""

    name: str
    other_names: tuple[str, ...] = ()
    """What other programs call it."""
    advantage: AdvantageName
    whitens: bool = False
    """Whether the advantages of all tokens of a step are then whitened."""
    surrogate: SurrogateName
    clip_low: float | None = 0.2
    """None: ratios are bounded from above only."""
    clip_high: float = 0.2
    averaging: AveragingName
    kl: KLPenalty | None
    """None: there is no such penalty."""
    group_filter: GroupFilterName | None = None
    """None: every group is kept. Else a step samples new prompts in place of groups that the filter leaves out."""
    overlong_share: float = 0.0
    """The last part of the token limit, over which the soft overlong penalty rises; 0: none."""
    takes_pools: bool = False
    """Whether as many answers may be drawn for a prompt as it needs (`sampling.rounds`, `sampling.allocation`).

    The baseline is then the mean of everything that was drawn for it. That leaves out rows with another baseline, those
    that whiten, which would shift it, and rloo, whose gradient a stopping rule would bias.
    """

    @property
    def compares_groups(self) -> bool:
        """Whether the answers to one prompt are compared with each other."""
        return self.advantage in NEEDS_SIBLINGS

    @property
    def scaling(self) -> Scaling | None:
        """The row's own `reward.scaling`; None: that setting means nothing to it."""
        if self.whitens:
            return None
        return next((scaling for scaling, advantage in SCALINGS.items() if advantage == self.advantage), None)

    @property
    def has_critic(self) -> bool:
        return self.advantage == "gae"

    @property
    def clips_rollouts(self) -> bool:
        """Whether one ratio is clipped for a whole rollout, and not one for each token."""
        return self.surrogate == "sequence_clipped"

    @property
    def has_dual_clip(self) -> bool:
        """Whether `algorithm.dual_clip` means something. Where a batch is used again, `reinforce` becomes `clipped`."""
        return self.surrogate in ("clipped", "reinforce")


_K1_IN_REWARD = KLPenalty(estimator="k1", place="reward")
_K2_IN_LOSS = KLPenalty(estimator="k2", place="loss")
_K3_IN_LOSS = KLPenalty(estimator="k3", place="loss")

_ROWS = (
    Recipe(
        name="grpo",
        advantage="group_normalized",
        surrogate="clipped",
        averaging="sequence_mean",
        kl=_K3_IN_LOSS,
        takes_pools=True,
    ),
    Recipe(
        name="dr_grpo",
        advantage="group_centered",
        surrogate="clipped",
        averaging="constant_length",
        kl=_K3_IN_LOSS,
        takes_pools=True,
    ),
    Recipe(
        name="dapo",
        advantage="group_normalized",
        surrogate="clipped",
        clip_high=0.28,
        averaging="token_mean",
        kl=None,
        group_filter="has_signal",
        overlong_share=0.2,
        takes_pools=True,
    ),
    Recipe(name="rloo", advantage="leave_one_out", surrogate="reinforce", averaging="rollout_sum", kl=_K1_IN_REWARD),
    Recipe(
        name="reinforce_pp",
        advantage="returns_to_go",
        whitens=True,
        surrogate="clipped",
        averaging="token_mean",
        kl=_K1_IN_REWARD,
    ),
    Recipe(
        name="reinforce_pp_baseline",
        other_names=("reinforce_ppb",),
        advantage="group_centered",
        whitens=True,
        surrogate="clipped",
        averaging="token_mean",
        kl=_K2_IN_LOSS,
    ),
    Recipe(name="ppo", advantage="gae", whitens=True, surrogate="clipped", averaging="token_mean", kl=_K1_IN_REWARD),
    Recipe(
        name="gspo",
        advantage="group_normalized",
        surrogate="sequence_clipped",
        clip_low=3e-4,
        clip_high=4e-4,
        averaging="sequence_mean",
        kl=_K3_IN_LOSS,
        takes_pools=True,
    ),
    Recipe(
        name="cispo",
        advantage="group_centered",
        surrogate="cispo",
        clip_low=None,
        clip_high=5.0,
        averaging="token_mean",
        kl=_K3_IN_LOSS,
        group_filter="has_signal",
        takes_pools=True,
    ),
)

RECIPES: Mapping[str, Recipe] = {row.name: row for row in _ROWS}

if TYPE_CHECKING:
    AlgorithmName = str
else:
    AlgorithmName = Literal[tuple(RECIPES)]
"""The name of a row."""


def find_recipe_name(name: str) -> str:
    """The row's name for a name in any case, or for one that other programs use; `name` itself if there is none."""
    lowered = name.lower()
    return next((row.name for row in _ROWS if lowered in row.other_names), lowered)
