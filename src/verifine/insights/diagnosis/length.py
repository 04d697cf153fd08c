"""How long answers are, and how many are cut off."""

from __future__ import annotations

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import ENOUGH, Story
from verifine.insights.diagnosis.suggesting import longer_answers, pay_less_for_length, read_answers

CUT_OFF = 0.2
"""Share of answers cut off from which many right ones are graded without their end."""
MOSTLY_CUT_OFF = 0.5
GOOD = 0.9
"""Share of right answers with which a cut-off end was not missed."""

DRIFT = 2.0
"""So many times as long, or as short, as at first."""

LENGTH = "completions/mean_length"
CLIPPED = "completions/clipped_ratio"


def judge_cut_off(story: Story) -> Finding | None:
    clipped = story.recent.mean(CLIPPED)
    is_good = story.level is not None and story.level >= GOOD
    if clipped is None or len(story.recent) < ENOUGH or clipped < CUT_OFF or is_good:
        return None
    changes = [longer_answers(story), "Ask for short answers, or end them where they are done (sampling.stop)."]
    changes += pay_less_for_length(story)
    return Finding(
        topic=Topic.ANSWERS_CUT_OFF,
        severity=Severity.PROBLEM if clipped >= MOSTLY_CUT_OFF else Severity.WARNING,
        found=f"{clipped:.0%} of the answers are cut off at sampling.max_new_tokens: they are graded without their "
        "end, so right ones count as wrong.",
        evidence={
            **story.recent.means(CLIPPED, LENGTH, "completions/max_length", story.goal),
            **story.opening.means(CLIPPED, LENGTH, suffix="_at_first"),
        },
        steps=story.recent.span,
        changes=tuple(changes),
    )


def judge_drift(story: Story) -> Finding | None:
    """Longer or shorter is good where answers get better by it, and worth a look even then."""
    move = story.move(LENGTH)
    if move is None or 1 / DRIFT < move.after / max(move.before, 1.0) < DRIFT:
        return None
    grows = move.rise > 0
    better = story.has_improved
    verdict = "and the answers got better" if better else "and the answers did not get better"
    return Finding(
        topic=Topic.LENGTH_DRIFT,
        severity=Severity.NOTE if better else Severity.WARNING,
        found=f"Answers {'grew' if grows else 'shrank'} from {move.before:.0f} to {move.after:.0f} tokens, {verdict}.",
        evidence={
            **story.recent.means(LENGTH, story.goal, CLIPPED),
            **story.opening.means(LENGTH, story.goal, CLIPPED, suffix="_at_first"),
        },
        steps=story.recent.span,
        changes=_shorter(story) if grows and not better else (read_answers("some answers"),),
    )


RULES = (judge_cut_off, judge_drift)


def _shorter(story: Story) -> tuple[str, ...]:
    changes = [read_answers("some answers")]
    if story.config.algorithm.recipe.averaging == "sequence_mean":  # a long wrong answer loses no more than a short one
        changes.append("Set algorithm.name to dr_grpo: a long wrong answer then loses as much a token as a short one.")
    changes += pay_less_for_length(story)
    return tuple(changes)
