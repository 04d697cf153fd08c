"""How far the policy moves, how much of that is clipped, and how well the critic predicts."""

from __future__ import annotations

from verifine.insights.diagnosis.history import ENOUGH, TREND, RunHistory, move_between
from verifine.insights.diagnosis.suggesting import hold_near_start, lower_learning_rate
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

FAR_KL = 0.2
"""Nats a token; usual are 0.001 to 0.1."""
KL_GROWTH = 2.0
"""From the twenty steps before to the latest twenty."""
JUMPED_KL = 0.05

CLIPPED = 0.3
"""With this share of tokens clipped, most of an update is lost; usual are 0 to 0.1."""
CLIPPED_ROLLOUTS = 0.6
"""The same where whole answers are clipped, within narrow bounds (gspo): 15 to 50 % are usual."""

BLIND = 0.0
"""With an explained variance below this, the critic predicts no better than the average return."""
CRITIC_STEPS = 2 * TREND
"""A critic starts untrained, so it gets this many steps."""


def judge_kl_growth(history: RunHistory) -> Finding | None:
    move = move_between(history.earlier, history.recent, "kl")
    if move is None or not move.has_risen or move.after < max(FAR_KL, KL_GROWTH * move.before) or not history.stagnates:
        return None
    return Finding(
        name=Topic.KL_GROWS,
        severity=Severity.WARNING,
        what=f"The model is moving away from where it started: its KL divergence rose from {move.before:.2g} to "
        f"{move.after:.2g} nats a token within the latest steps, and {history.goal} did not rise with it.",
        numbers={
            "kl": move.after,
            **history.earlier.means("kl", suffix="_before"),
            **history.recent.means(history.goal),
        },
        steps=history.recent.span,
        remedies=(hold_near_start(history), lower_learning_rate(history)),
    )


def judge_kl_jumps(history: RunHistory) -> Finding | None:
    jumps = [jump for jump in history.jumps["kl"] if jump.value >= JUMPED_KL]
    if not jumps:
        return None
    worst = max(jumps, key=lambda jump: jump.value)
    return Finding(
        name=Topic.KL_JUMPS,
        severity=Severity.WARNING,
        what=f"In step {worst.step} the KL divergence to the starting model jumped to {worst.value:.2g} nats a token, "
        f"{worst.value / worst.usual:.0f} times what it was: one update moved the model too far.",
        numbers={"kl": worst.value, "kl_usually": worst.usual, "jumps": float(len(jumps))},
        steps=(jumps[0].step, jumps[-1].step),
        remedies=(lower_learning_rate(history), hold_near_start(history)),
    )


def judge_clipping(history: RunHistory) -> Finding | None:
    clipped = history.recent.mean("clip_ratio/region_mean")
    algorithm = history.config.algorithm
    most = CLIPPED_ROLLOUTS if algorithm.recipe.clips_rollouts else CLIPPED
    if clipped is None or len(history.recent) < ENOUGH or clipped < most:
        return None
    changes = [lower_learning_rate(history)]
    if algorithm.epochs > 1:
        changes.insert(0, f"Lower algorithm.epochs from {algorithm.epochs} to {algorithm.epochs // 2}.")
    if algorithm.mini_batches > 1:
        changes.append(f"Lower algorithm.mini_batches from {algorithm.mini_batches} to {algorithm.mini_batches // 2}.")
    return Finding(
        name=Topic.CLIP_SATURATION,
        severity=Severity.WARNING,
        what=f"{clipped:.0%} of the tokens are clipped: the updates of a step go beyond the limit, and what "
        "could be learned from these tokens is lost.",
        numbers=history.recent.means(
            "clip_ratio/region_mean", "clip_ratio/low_mean", "clip_ratio/high_mean", "ratio/min", "ratio/max"
        ),
        steps=history.recent.span,
        remedies=tuple(changes),
    )


def judge_critic(history: RunHistory) -> Finding | None:
    """A finding about the critic, which only ppo has."""
    explained = history.recent.values("critic/explained_variance")
    if history.steps < CRITIC_STEPS or len(explained) < ENOUGH or sum(explained) / len(explained) > BLIND:
        return None
    mean = sum(explained) / len(explained)
    return Finding(
        name=Topic.CRITIC_BLIND,
        severity=Severity.WARNING,
        what=f"After {history.steps} steps the critic explains {mean:.2f} of the differences in return: it predicts no "
        "better than the average, so the advantages are noisier than without a critic.",
        numbers=history.recent.means("critic/explained_variance", "critic/loss", "critic/clip_ratio"),
        steps=history.recent.span,
        remedies=(
            "Raise algorithm.critic.learning_rate, or set algorithm.critic.kind to model.",
            "Set algorithm.critic.lam to 1, which uses the rewards only, or use grpo (algorithm.name).",
        ),
    )


RULES = (judge_kl_growth, judge_kl_jumps, judge_clipping, judge_critic)
