"""The entropy of the policy: too low to try new answers, or rising without end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from verifine.insights.diagnosis.groups import GROUPS, LOST, describe_groups, share_lost
from verifine.insights.diagnosis.history import ENOUGH, RunHistory
from verifine.insights.diagnosis.length import LENGTH
from verifine.insights.diagnosis.suggesting import (
    START_AGAIN,
    compare_prompts,
    hold_near_start,
    learned_before,
    lower_learning_rate,
    raise_entropy_bonus,
)
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

ENTROPY = "completions/entropy_estimate"
"""In nats an answer. The average over tokens hides how few of them are decided by the model: most are form."""
LOW_ENTROPY = 0.15
"""Nats a token of an answer: below this, nine of ten tokens are almost certain."""
ENTROPY_LEFT = 0.25
"""A collapse leaves at most this share of the entropy at first; a model with low entropy from the start did not
collapse in this run."""
ALIKE = 0.9
"""With this share of groups of equal rewards, the answers to a prompt are alike."""
LASTING = 0.95
"""The same share as ALIKE over twice as many steps: below it, models have been seen to recover."""

ENTROPY_GROWTH = 2.0
FAR_ENTROPY = 1.0
"""Nats a token by which the entropy must also have risen: a rise from 0.01 to 0.02 does not matter."""

CLIP_HIGHER = 0.28
"""The upper bound that DAPO found to keep the entropy up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collapse:
    """A model with low entropy and nearly equal answers, many of them wrong."""

    entropy: float
    """In nats an answer."""
    entropy_at_first: float
    alike: float
    """Share of groups in which all answers score the same."""


def find_collapse(history: RunHistory) -> Collapse | None:
    """None: its entropy is high, its answers differ, they are right, or they still get better."""
    entropy, first, length = history.recent.mean(ENTROPY), history.first.mean(ENTROPY), history.recent.mean(LENGTH)
    alike = history.recent.mean("frac_reward_zero_std")
    if entropy is None or first is None or length is None or alike is None or len(history.recent) < ENOUGH:
        return None
    is_sure = entropy <= min(LOW_ENTROPY * length, ENTROPY_LEFT * first)
    if not is_sure or alike < ALIKE or share_lost(history) < LOST or not history.stagnates:
        return None
    return Collapse(entropy=entropy, entropy_at_first=first, alike=alike)


def judge_entropy_collapse(history: RunHistory) -> Finding | None:
    collapse = find_collapse(history)
    if collapse is None:
        return None
    value, groups = history.recent.mean(history.goal) or 0.0, describe_groups(history)
    return Finding(
        name=Topic.ENTROPY_COLLAPSE,
        severity=Severity.PROBLEM if _lasts(history) else Severity.WARNING,
        what=f"The model explores almost nothing: its entropy fell from {collapse.entropy_at_first:.2f} to "
        f"{collapse.entropy:.2f} nats an answer, in {collapse.alike:.0%} of the groups all answers score the same"
        f"{groups and f' ({groups})'}, and {history.goal} stays at {value:.2f}.{learned_before(history)}",
        numbers={
            ENTROPY: collapse.entropy,
            f"{ENTROPY}_at_first": collapse.entropy_at_first,
            **history.recent.means("frac_reward_zero_std", *GROUPS, history.goal),
            **history.opening.means("frac_reward_zero_std", *GROUPS, history.goal, suffix="_at_first"),
        },
        steps=history.recent.span,
        remedies=tuple(_remedies(history)),
    )


def judge_entropy_rise(history: RunHistory) -> Finding | None:
    """Entropy that rises without a rise of the goal: answers turn into noise."""
    move = history.move("entropy")
    if move is None or not move.has_risen or history.has_improved:
        return None
    if move.after < ENTROPY_GROWTH * move.before or move.rise < FAR_ENTROPY:
        return None
    bonus = history.config.algorithm.entropy_bonus
    less_bonus = (f"Lower algorithm.entropy_bonus from {bonus:g} to {bonus / 5:.1g}.",) if bonus else ()
    return Finding(
        name=Topic.ENTROPY_RISES,
        severity=Severity.PROBLEM,
        what=f"The model becomes more and more random: its entropy rose from {move.before:.2f} to {move.after:.2f} "
        f"nats a token, and {history.goal} did not rise with it.",
        numbers={"entropy": move.after, "entropy_at_first": move.before, **history.recent.means(history.goal)},
        steps=history.recent.span,
        remedies=(*less_bonus, lower_learning_rate(history), hold_near_start(history)),
    )


RULES = (judge_entropy_collapse, judge_entropy_rise)


def _lasts(history: RunHistory) -> bool:
    shares = (history.earlier.mean("frac_reward_zero_std"), history.recent.mean("frac_reward_zero_std"))
    return all(share is not None and share >= LASTING for share in shares)


def _remedies(history: RunHistory) -> Iterator[str]:
    algorithm, rate = history.config.algorithm.decided(), history.learning_rate
    yield raise_entropy_bonus(history)
    clips_tokens = algorithm.updates_per_step > 1 and not algorithm.recipe.clips_rollouts
    if clips_tokens and algorithm.clip_high is not None and algorithm.clip_high < CLIP_HIGHER:
        yield f"Raise algorithm.clip_high to {CLIP_HIGHER:g}: unlikely answers may then gain more in one update."
    yield from compare_prompts(history)
    values = f" {rate / 2:.1g} and {rate * 2:.1g}" if rate else " half of it and twice as much"
    yield f"Try optim.learning_rate{values}: a different rate often avoids the collapse."
    yield START_AGAIN
