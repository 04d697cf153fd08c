"""Something that stands out in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters, the worst first."""

    PROBLEM = "problem"
    """The run learns nothing more, or the wrong thing."""
    WARNING = "warning"
    """It learns less than it could, or may soon stop."""
    NOTE = "note"
    """Good to know."""

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


class Topic(StrEnum):
    """What a finding is about: a name that stays the same for programs and in the documentation."""

    FAILED = "failed"
    KILLED = "killed"
    DISK_FULL = "disk_full"
    FEW_UPDATES = "few_updates"
    NOT_FINITE = "not_finite"
    TOO_HARD = "too_hard"
    TOO_EASY = "too_easy"
    SOLVED = "solved"
    NO_SIGNAL = "no_signal"
    FORMAT_WITHOUT_ACCURACY = "format_without_accuracy"
    REWARD_COLLAPSE = "reward_collapse"
    HELD_OUT_FALLS = "held_out_falls"
    HELD_OUT_LAGS = "held_out_lags"
    GRADERS_DISAGREE = "graders_disagree"
    ANSWERS_CUT_OFF = "answers_cut_off"
    LENGTH_DRIFT = "length_drift"
    ENTROPY_COLLAPSE = "entropy_collapse"
    ENTROPY_RISES = "entropy_rises"
    KL_GROWS = "kl_grows"
    KL_JUMPS = "kl_jumps"
    MISMATCH = "mismatch"
    IMPORTANCE_CAPPED = "importance_capped"
    CLIP_SATURATION = "clip_saturation"
    CRITIC_BLIND = "critic_blind"
    LEARNING_RATE_TOO_SMALL = "learning_rate_too_small"
    GRADIENT_SPIKES = "gradient_spikes"
    UNSCORABLE_ANSWERS = "unscorable_answers"
    GRADER_TIMEOUTS = "grader_timeouts"
    GRADER_FAULTS = "grader_faults"
    SLOW_GRADING = "slow_grading"
    MEMORY_SHORTAGES = "memory_shortages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What stands out, why we say so, and what to do about it."""

    topic: Topic
    severity: Severity
    found: str
    """In a sentence, with the numbers."""
    evidence: Mapping[str, float]
    """By the names of `runs.metrics`: averages over `steps`. `<name>_at_first` is that of the first steps,
    `<name>_at_best` that of the best ones before."""
    steps: tuple[int, int]
    """The first and the last step that were looked at; (0, 0): none."""
    changes: tuple[str, ...]
    """What to change, each a sentence that names the key of the configuration, the most promising first."""
