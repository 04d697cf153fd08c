"""Does what was learned hold on other prompts, and by another grader?"""

from __future__ import annotations

from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.diagnosis.suggesting import hold_near_start, read_answers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

ROSE = 0.1
"""Training reward must have risen by this much to compare held-out problems with it."""
KEPT = 0.5
"""The share of the rise in training that should show on held-out problems."""
GAP = 0.1
"""Training reward must exceed the held-out reward by this much: otherwise the model has only become as good at
temperature 1 as it was with greedy answers."""


def judge_held_out(history: RunHistory) -> Finding | None:
    """Held-out problems against training, by the same grader."""
    held_out, at_first = history.held_out, history.opening.mean("reward")
    change = None if held_out is None else held_out.changes.get("reward")
    if held_out is None or change is None or held_out.training_reward is None or at_first is None:
        return None
    training = held_out.training_reward
    rise = training - at_first
    evidence = {
        "reward": training,
        "reward_at_first": at_first,
        "held_out_reward": change.after,
        "held_out_reward_at_first": change.before,
    }
    sides = (
        f"from {change.before:.2f} to {change.after:.2f} while the training reward went from {at_first:.2f} to "
        f"{training:.2f}"
    )
    if change.high < 0 <= rise:
        return Finding(
            name=Topic.HELD_OUT_FALLS,
            severity=Severity.PROBLEM,
            what=f"Reward on held-out problems fell {sides}: the model learns something that scores on the training "
            "prompts only.",
            numbers=evidence,
            steps=history.recent.span,
            remedies=_remedies(history),
        )
    if rise >= ROSE and change.high < KEPT * rise and training - change.after > GAP:
        return Finding(
            name=Topic.HELD_OUT_LAGS,
            severity=Severity.WARNING,
            what=f"Reward on held-out problems went {sides}: most of what was learned does not carry over to them.",
            numbers=evidence,
            steps=history.recent.span,
            remedies=_remedies(history),
        )
    return None


def judge_graders(history: RunHistory) -> Finding | None:
    """The training grader against a second one, on the same held-out answers: the surest sign of a hacked reward."""
    held_out = history.held_out
    reward = None if held_out is None else held_out.changes.get("reward")
    second = None if held_out is None else held_out.second
    if reward is None or second is None or reward.low <= 0 or second.difference > 0:
        return None
    return Finding(
        name=Topic.GRADERS_DISAGREE,
        severity=Severity.PROBLEM if second.high < 0 else Severity.WARNING,
        what=f"The graders disagree: on held-out problems the score of training's grader rose from "
        f"{reward.before:.2f} to {reward.after:.2f}, and the second grader's went from {second.before:.2f} to "
        f"{second.after:.2f}. The model may be learning to exploit the grader.",
        numbers={
            "held_out_reward": reward.after,
            "held_out_reward_at_first": reward.before,
            "held_out_second": second.after,
            "held_out_second_at_first": second.before,
        },
        steps=history.recent.span,
        remedies=(
            read_answers("the answers with the highest scores"),
            "Change grader so that wrong answers of this kind score 0; `verifine grade` tries it on saved rollouts.",
            hold_near_start(history),
        ),
    )


RULES = (judge_graders, judge_held_out)


def _remedies(history: RunHistory) -> tuple[str, ...]:
    where = "data.train" if history.config.data.task is None else "data.task"
    return (
        read_answers("the answers with the highest scores"),
        f"Train on more, and more varied, prompts ({where}), or for fewer run.steps.",
        "Use the checkpoint with the best held-out result (run.eval_interval, run.keep_best).",
        hold_near_start(history),
    )
