"""Is the learning rate right? Too small, and nothing changes; too large, and training is unstable."""

from __future__ import annotations

import statistics

from verifine.insights.diagnosis.groups import is_solved
from verifine.insights.diagnosis.history import JUMP, RECENT, TREND, RunHistory, Shift
from verifine.insights.diagnosis.length import LENGTH
from verifine.insights.diagnosis.signal import MUCH_SILENCE
from verifine.insights.diagnosis.suggesting import lower_learning_rate, raise_learning_rate
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

STILL = 0.1
"""Entropy and length change by up to this share just because prompts differ."""
STILL_KL = 1e-3
"""Nats a token; below this, a model has not moved from where it started."""
STILL_CLIPPED = 1e-3

MANY_SPIKES = 3
"""With this many spikes, they are not an accident."""
MANY_NOT_FINITE = 3
"""With this many non-finite updates in the latest steps, the run is about to be ended."""


def judge_too_small(history: RunHistory) -> Finding | None:
    """Only if there is something left to learn, and was something to learn from."""
    silence = history.recent.mean("frac_reward_zero_std")
    goal = history.move(history.goal)
    has_updates = history.updates >= history.config.optim.warmup_steps + TREND
    if goal is None or not has_updates or (silence is not None and silence >= MUCH_SILENCE):
        return None
    if is_solved(history, history.recent):
        return None
    moves = {name: move for name in ("entropy", LENGTH) if (move := history.move(name)) is not None}
    if goal.has_risen or goal.has_fallen or "entropy" not in moves or not all(map(_is_still, moves.values())):
        return None
    kl, clipped = history.recent.mean("kl") or 0.0, history.recent.mean("clip_ratio/region_mean") or 0.0
    if kl > STILL_KL or clipped > STILL_CLIPPED:
        return None
    entropy = moves["entropy"]
    changes = [raise_learning_rate(history)]
    if history.config.model.lora is not None:
        changes.append("LoRA needs about ten times the optim.learning_rate of full training.")
    return Finding(
        name=Topic.LEARNING_RATE_TOO_SMALL,
        severity=Severity.WARNING,
        what=f"Nothing changes: after {history.updates:.0f} updates {history.goal} is {goal.after:.2f} "
        f"({goal.before:.2f} at first) and the entropy {entropy.after:.2f} ({entropy.before:.2f}), although the "
        "rewards have signal.",
        numbers={
            **history.recent.means(history.goal, "entropy", LENGTH, "kl", "clip_ratio/region_mean", "grad_norm"),
            **history.opening.means(history.goal, "entropy", LENGTH, suffix="_at_first"),
            **({} if history.learning_rate is None else {"learning_rate": history.learning_rate}),
        },
        steps=history.recent.span,
        remedies=tuple(changes),
    )


def judge_spikes(history: RunHistory) -> Finding | None:
    """Every gradient is limited to optim.max_grad_norm; a spike still shows that something unusual was in the batch.

    Once a policy is sure of its answers most steps have next to no gradient, and one that has some is no spike: it is
    compared with those of the first steps as well.
    """
    first = history.opening.values("grad_norm")
    usual = statistics.median(first) if first else 0.0
    spikes = [spike for spike in history.jumps["grad_norm"] if spike.value > JUMP * usual]
    if not spikes:
        return None
    worst = max(spikes, key=lambda spike: spike.value / spike.usual)
    is_recent = spikes[-1].step > history.recent.span[1] - RECENT
    return Finding(
        name=Topic.GRADIENT_SPIKES,
        severity=Severity.WARNING if is_recent or len(spikes) >= MANY_SPIKES else Severity.NOTE,
        what=f"In {'one step' if len(spikes) == 1 else f'{len(spikes)} steps'} the gradient exploded: in step "
        f"{worst.step} its norm was {worst.value:.3g}, {worst.value / worst.usual:.0f} times its value just before.",
        numbers={"grad_norm": worst.value, "grad_norm_usually": worst.usual, "spikes": float(len(spikes))},
        steps=(spikes[0].step, spikes[-1].step),
        remedies=(
            lower_learning_rate(history),
            f"Look at the answers of step {worst.step} in rollouts/: long or unusual ones make large gradients.",
        ),
    )


def judge_not_finite(history: RunHistory) -> Finding | None:
    steps = history.not_finite
    if not steps:
        return None
    latest = [step for step in steps if step > history.recent.span[1] - RECENT]
    changes = [lower_learning_rate(history)]
    if history.config.model.precision != "float32":
        changes.insert(0, "Set model.precision to float32.")
    return Finding(
        name=Topic.NOT_FINITE,
        severity=Severity.PROBLEM if len(latest) >= MANY_NOT_FINITE else Severity.WARNING,
        what=f"The loss or its gradient was infinite or not a number in {len(steps)} of {history.steps} steps, "
        f"last in step {steps[-1]}: these updates were skipped.",
        numbers={"steps_not_finite": float(len(steps)), "steps": float(history.steps)},
        steps=(steps[0], steps[-1]),
        remedies=tuple(changes),
    )


RULES = (judge_not_finite, judge_too_small, judge_spikes)


def _is_still(move: Shift) -> bool:
    return abs(move.rise) <= STILL * abs(move.before)
