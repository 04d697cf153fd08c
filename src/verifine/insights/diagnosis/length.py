"""The length of answers, and how many are cut off."""

from __future__ import annotations

from verifine.insights.diagnosis.history import ENOUGH, RunHistory
from verifine.insights.diagnosis.suggesting import longer_answers, pay_less_for_length, read_answers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

CUT_OFF = 0.2
"""With this share of answers cut off, many right ones are graded without their end."""
MOSTLY_CUT_OFF = 0.5
GOOD = 0.9
"""With this share of right answers, cut-off ends do no harm."""

DRIFT = 2.0
"""A drift is this factor between the first and the current length, in either direction."""

LENGTH = "completions/mean_length"
CLIPPED = "completions/clipped_ratio"


def judge_cut_off(history: RunHistory) -> Finding | None:
    clipped = history.recent.mean(CLIPPED)
    is_good = history.level is not None and history.level >= GOOD
    if clipped is None or len(history.recent) < ENOUGH or clipped < CUT_OFF or is_good:
        return None
    changes = [longer_answers(history), "Ask for short answers, or end them where they are done (sampling.stop)."]
    changes += pay_less_for_length(history)
    return Finding(
        name=Topic.ANSWERS_CUT_OFF,
        severity=Severity.PROBLEM if clipped >= MOSTLY_CUT_OFF else Severity.WARNING,
        what=f"{clipped:.0%} of the answers are cut off at sampling.max_new_tokens: they are graded without their "
        "end, so right ones count as wrong.",
        numbers={
            **history.recent.means(CLIPPED, LENGTH, "completions/max_length", history.goal),
            **history.opening.means(CLIPPED, LENGTH, suffix="_at_first"),
        },
        steps=history.recent.span,
        remedies=tuple(changes),
    )


def judge_drift(history: RunHistory) -> Finding | None:
    """A change of length is fine if answers get better, and worth a look even then."""
    move = history.move(LENGTH)
    if move is None or 1 / DRIFT < move.after / max(move.before, 1.0) < DRIFT:
        return None
    grows = move.rise > 0
    better = history.has_improved
    verdict = "and the answers got better" if better else "and the answers did not get better"
    return Finding(
        name=Topic.LENGTH_DRIFT,
        severity=Severity.NOTE if better else Severity.WARNING,
        what=f"Answers {'grew' if grows else 'shrank'} from {move.before:.0f} to {move.after:.0f} tokens, {verdict}.",
        numbers={
            **history.recent.means(LENGTH, history.goal, CLIPPED),
            **history.opening.means(LENGTH, history.goal, CLIPPED, suffix="_at_first"),
        },
        steps=history.recent.span,
        remedies=_shorter(history) if grows and not better else (read_answers("some answers"),),
    )


RULES = (judge_cut_off, judge_drift)


def _shorter(history: RunHistory) -> tuple[str, ...]:
    changes = [read_answers("some answers")]
    if (
        history.config.algorithm.recipe.averaging == "sequence_mean"
    ):  # a long wrong answer loses no more than a short one
        changes.append("Set algorithm.name to dr_grpo: a long wrong answer then loses as much a token as a short one.")
    changes += pay_less_for_length(history)
    return tuple(changes)
