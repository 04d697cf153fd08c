"""The names of what the diagnosis of a run can find."""

from __future__ import annotations

from enum import StrEnum


class Topic(StrEnum):
    """The name of a finding, the same for programs and in the documentation."""

    FAILED = "failed"
    KILLED = "killed"
    STALLED = "stalled"
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
