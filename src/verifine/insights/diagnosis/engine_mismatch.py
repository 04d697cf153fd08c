"""Do sampler and learner compute the same probabilities?"""

from __future__ import annotations

from verifine.insights.diagnosis.history import ENOUGH, RunHistory
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

FLOAT32_MISMATCH, BFLOAT16_MISMATCH, INT8_MISMATCH = 1e-4, 0.05, 0.2
"""Nats a token, on average; more than this is not rounding: SmolLM2-135M was measured at 3e-6, 0.02 and 0.09.

Far above them the canary (`rollout.canary`) ends the run.
"""
LARGE_MISMATCH = 0.1
"""Above this, and above twice the rounding, the ratios of twenty tokens together are off by a factor of seven."""
MISMATCH_GROWTH, GROWN_SHARE = 5.0, 0.2
"""A mismatch grows if it is this many times its first value, and at least this share of the rounding limit."""
_MEAN = "mismatch/mean"

CAPPED = 0.05
"""If the weights of more than this share of tokens are capped, the correction no longer corrects."""


def judge_mismatch(history: RunHistory) -> Finding | None:
    now, limit = history.recent.mean(_MEAN), _limit(history)
    if now is None or len(history.recent.values(_MEAN)) < ENOUGH // 2:
        return None
    move = history.move(_MEAN)
    grows = move is not None and move.has_risen and now >= max(GROWN_SHARE * limit, MISMATCH_GROWTH * move.before)
    if now < limit and not grows:
        return None
    at_first = f" ({move.before:.2g} at first)" if move is not None and grows else ""
    return Finding(
        name=Topic.MISMATCH,
        severity=Severity.PROBLEM if now >= max(LARGE_MISMATCH, 2 * limit) else Severity.WARNING,
        what=f"Sampler and learner disagree about the log-probability of a token by {now:.2g} nats on average"
        f"{at_first}, where rounding explains less than {limit:g}: the model learns from answers that are not quite "
        "its own.",
        numbers={
            **history.recent.means(_MEAN, "mismatch/max", "mismatch/kl", "mismatch/probe_mean", "importance/mean"),
            **history.opening.means(_MEAN, suffix="_at_first"),
        },
        steps=history.recent.span,
        remedies=_agree(history),
    )


def judge_capping(history: RunHistory) -> Finding | None:
    capped = history.recent.mean("importance/capped_mean")
    if capped is None or len(history.recent) < ENOUGH or capped < CAPPED:
        return None
    return Finding(
        name=Topic.IMPORTANCE_CAPPED,
        severity=Severity.WARNING,
        what=f"algorithm.importance_cap reduces the weight of {capped:.0%} of the tokens: sampler and learner "
        "differ by more than it can correct.",
        numbers=history.recent.means("importance/capped_mean", "importance/mean", "mismatch/mean"),
        steps=history.recent.span,
        remedies=_agree(history),
    )


RULES = (judge_mismatch, judge_capping)


def _limit(history: RunHistory) -> float:
    if not history.config.engine.is_exact:
        return INT8_MISMATCH
    return FLOAT32_MISMATCH if history.config.model.precision == "float32" else BFLOAT16_MISMATCH


def _agree(history: RunHistory) -> tuple[str, ...]:
    config, changes = history.config, []
    if not config.engine.is_exact:
        changes.append("Set engine.precision to same: int8 causes the difference.")
    if config.model.precision != "float32":
        changes.append("Set model.precision to float32.")
    if config.algorithm.importance_cap is None:
        changes.append("Set algorithm.importance_cap to 2, which weighs tokens by how much they disagree.")
    return (*changes, "If it persists, report it with env.json and config.yaml of the run: this is a bug.")
