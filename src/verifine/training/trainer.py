"""The parts of a training step, and how far a run has come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from verifine.algorithms.algorithm import Algorithm
from verifine.algorithms.entropy_control import EntropyState
from verifine.data import PromptHistory
from verifine.graders import Grader
from verifine.learner.learner import Learner
from verifine.rollout.canary import Canary
from verifine.rollout.engine import RolloutEngine
from verifine.training.source import PromptSource
from verifine.types import Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How prompts are asked again until right and wrong answers are there (Reinforce-Ada-Seq, arXiv:2510.04996)."""

    answers: int
    """To a prompt in each round."""
    most: int
    """Rounds."""
    rights: int
    """Right answers that a prompt is asked for, and `wrongs` in the same way."""
    wrongs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How the answers of a step are shared out by the history of its prompts (Reinforce-Ada-Est, arXiv:2510.04996)."""

    least: int
    """Answers to a prompt, and `most` in the same way."""
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """Everything that a training step uses."""

    source: PromptSource
    engine: RolloutEngine
    grader: Grader
    algorithm: Algorithm
    learner: Learner
    canary: Canary | None
    """None: the engine has no weights to compare."""
    sampling: Sampling
    prompts_per_step: int
    max_resample: int
    groups: Rounds | Allocation | None = None
    """How many answers are drawn for each prompt. None: as many as `sampling` says."""
    epochs: int
    """How often a step uses its batch."""
    mini_batches: int
    """Into how many parts each time, with an update for each."""
    subsample: float | None = None
    """Below this share of the mean gradient, groups are trained on by chance (`subsampling`). None: all are."""
    clock: Callable[[], float]
    """Seconds from any origin."""
    pass_score: float | None = None
    """The lowest score of an answer that passes, where the grader does not tell right from wrong; None: not known."""

    @property
    def keeps_history(self) -> bool:
        """Whether anything is decided by what is remembered of prompts."""
        return self.source.reads_history or isinstance(self.groups, Allocation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is: its next step depends on this, the weights and the optimisers, and nothing else."""

    step: int = 0
    position: int = 0
    """Prompts drawn so far, those that were left out included."""
    updates: int = 0
    tokens: int = 0
    """Action tokens sampled so far."""
    entropy: EntropyState = field(default_factory=EntropyState)
    """Of the controller that holds the policy's entropy."""
    history: PromptHistory = field(default_factory=PromptHistory)
    """What is remembered of the prompts; empty where nothing is decided by it."""
