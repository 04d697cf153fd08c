"""Is the learning rate right? Too small and nothing moves; too large and it moves by leaps."""

from __future__ import annotations

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.length import LENGTH
from verifine.insights.diagnosis.signal import MUCH_SILENCE
from verifine.insights.diagnosis.story import RECENT, TREND, Move, Story
from verifine.insights.diagnosis.suggesting import lower_learning_rate, raise_learning_rate

STILL = 0.1
"""Share by which entropy and length change from prompt to prompt alone."""
STILL_KL = 1e-3
"""Nats a token, below which a model is where it started."""
STILL_CLIPPED = 1e-3

MANY_SPIKES = 3
"""Spikes from which they are no accident."""
MANY_NOT_FINITE = 3
"""Updates that were not finite, among the latest steps, from which a run is about to be ended for it."""


def judge_too_small(story: Story) -> Finding | None:
    """Only where there was something to learn from."""
    silence = story.recent.mean("frac_reward_zero_std")
    goal = story.move(story.goal)
    has_updates = story.updates >= story.config.optim.warmup_steps + TREND
    if goal is None or not has_updates or (silence is not None and silence >= MUCH_SILENCE):
        return None
    moves = {name: move for name in ("entropy", LENGTH) if (move := story.move(name)) is not None}
    if goal.has_risen or goal.has_fallen or "entropy" not in moves or not all(map(_is_still, moves.values())):
        return None
    kl, clipped = story.recent.mean("kl") or 0.0, story.recent.mean("clip_ratio/region_mean") or 0.0
    if kl > STILL_KL or clipped > STILL_CLIPPED:
        return None
    entropy = moves["entropy"]
    changes = [raise_learning_rate(story)]
    if story.config.model.lora is not None:
        changes.append("LoRA wants about ten times the optim.learning_rate of full training.")
    return Finding(
        topic=Topic.LEARNING_RATE_TOO_SMALL,
        severity=Severity.WARNING,
        found=f"Nothing moves: after {story.updates:.0f} updates {story.goal} is {goal.after:.2f} ({goal.before:.2f} "
        f"at first) and the entropy {entropy.after:.2f} ({entropy.before:.2f}), though the rewards say what to learn.",
        evidence={
            **story.recent.means(story.goal, "entropy", LENGTH, "kl", "clip_ratio/region_mean", "grad_norm"),
            **story.opening.means(story.goal, "entropy", LENGTH, suffix="_at_first"),
            **({} if story.learning_rate is None else {"learning_rate": story.learning_rate}),
        },
        steps=story.recent.span,
        changes=tuple(changes),
    )


def judge_spikes(story: Story) -> Finding | None:
    """Every gradient is limited to optim.max_grad_norm; a spike still says that the model met something odd."""
    spikes = story.jumps["grad_norm"]
    if not spikes:
        return None
    worst = max(spikes, key=lambda spike: spike.value / spike.usual)
    is_recent = spikes[-1].step > story.recent.span[1] - RECENT
    return Finding(
        topic=Topic.GRADIENT_SPIKES,
        severity=Severity.WARNING if is_recent or len(spikes) >= MANY_SPIKES else Severity.NOTE,
        found=f"In {'one step' if len(spikes) == 1 else f'{len(spikes)} steps'} the gradient exploded: in step "
        f"{worst.step} its norm was {worst.value:.3g}, {worst.value / worst.usual:.0f} times what it was just before.",
        evidence={"grad_norm": worst.value, "grad_norm_usually": worst.usual, "spikes": float(len(spikes))},
        steps=(spikes[0].step, spikes[-1].step),
        changes=(
            lower_learning_rate(story),
            f"Look at the answers of step {worst.step} in rollouts/: long or odd ones make large gradients.",
        ),
    )


def judge_not_finite(story: Story) -> Finding | None:
    steps = story.not_finite
    if not steps:
        return None
    latest = [step for step in steps if step > story.recent.span[1] - RECENT]
    changes = [lower_learning_rate(story)]
    if story.config.model.precision != "float32":
        changes.insert(0, "Set model.precision to float32.")
    return Finding(
        topic=Topic.NOT_FINITE,
        severity=Severity.PROBLEM if len(latest) >= MANY_NOT_FINITE else Severity.WARNING,
        found=f"The loss or its gradient was infinite or not a number in {len(steps)} of {story.steps} steps, the last "
        f"of them step {steps[-1]}: these updates were not made.",
        evidence={"steps_not_finite": float(len(steps)), "steps": float(story.steps)},
        steps=(steps[0], steps[-1]),
        changes=tuple(changes),
    )


RULES = (judge_not_finite, judge_too_small, judge_spikes)


def _is_still(move: Move) -> bool:
    return abs(move.rise) <= STILL * abs(move.before)
