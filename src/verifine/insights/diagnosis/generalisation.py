"""Does what is learned hold beyond the training prompts, and by another grader?"""

from __future__ import annotations

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import Story
from verifine.insights.diagnosis.suggesting import hold_near_start, read_answers

ROSE = 0.1
"""Training reward must have risen by this, or there is nothing to hold held-out problems against."""
KEPT = 0.5
"""Of the rise in training, what at least should show on held-out problems."""
GAP = 0.1
"""By which training reward must lie above that of held-out problems: where it does not, the model has only become as
good at temperature 1 as it was greedily."""


def judge_held_out(story: Story) -> Finding | None:
    """Held-out problems against training, by the same grader."""
    held_out, at_first = story.held_out, story.opening.mean("reward")
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
        f"from {change.before:.2f} to {change.after:.2f} while that of training went from {at_first:.2f} to "
        f"{training:.2f}"
    )
    if change.high < 0 <= rise:
        return Finding(
            topic=Topic.HELD_OUT_FALLS,
            severity=Severity.PROBLEM,
            found=f"Reward on held-out problems fell {sides}: the model learns something that pays on the training "
            "prompts alone.",
            evidence=evidence,
            steps=story.recent.span,
            changes=_ways_out(story),
        )
    if rise >= ROSE and change.high < KEPT * rise and training - change.after > GAP:
        return Finding(
            topic=Topic.HELD_OUT_LAGS,
            severity=Severity.WARNING,
            found=f"Reward on held-out problems went {sides}: most of what is learned does not show there.",
            evidence=evidence,
            steps=story.recent.span,
            changes=_ways_out(story),
        )
    return None


def judge_graders(story: Story) -> Finding | None:
    """The training grader against a second one, on the same held-out answers: the surest sign of a hacked reward."""
    held_out = story.held_out
    reward = None if held_out is None else held_out.changes.get("reward")
    truth = None if held_out is None else held_out.truth
    if reward is None or truth is None or reward.low <= 0 or truth.difference > 0:
        return None
    return Finding(
        topic=Topic.GRADERS_DISAGREE,
        severity=Severity.PROBLEM if truth.high < 0 else Severity.WARNING,
        found=f"The graders disagree: on held-out problems the score of training's grader rose from "
        f"{reward.before:.2f} to {reward.after:.2f}, that of the second one went from {truth.before:.2f} to "
        f"{truth.after:.2f}. The model may be learning to please the grader.",
        evidence={
            "held_out_reward": reward.after,
            "held_out_reward_at_first": reward.before,
            "held_out_truth": truth.after,
            "held_out_truth_at_first": truth.before,
        },
        steps=story.recent.span,
        changes=(
            read_answers("the answers with the highest scores"),
            "Change grader so that what they do without being right earns nothing; `verifine grade` tries it on saved "
            "rollouts.",
            hold_near_start(story),
        ),
    )


RULES = (judge_graders, judge_held_out)


def _ways_out(story: Story) -> tuple[str, ...]:
    where = "data.train" if story.config.data.task is None else "data.task"
    return (
        read_answers("the answers with the highest scores"),
        f"Train on more, and more varied, prompts ({where}), or for fewer run.steps.",
        "Use the checkpoint with the best held-out result (run.eval_interval, run.keep_best).",
        hold_near_start(story),
    )
