"""Does the reward measure right answers, and does it last?"""

from __future__ import annotations

from verifine.insights.diagnosis.history import RunHistory, move_between
from verifine.insights.diagnosis.suggesting import hold_near_start, lower_learning_rate, read_answers
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity

FORMAT_RISE = 0.1
"""The format accuracy must have risen by this much to count as learned."""
GOOD_FORMAT = 0.9
ANSWER_RISE = 0.05
"""A smaller rise of the answer accuracy than this does not count."""
RARELY_RIGHT = 0.1
MOSTLY_RIGHT = 0.8
"""Above this, answers cannot get much better."""

LOST_SHARE = 0.5
"""The share of the gain, from the first to the best steps, that is lost in a collapse."""
FELL_BY = 0.2
"""The reward must also fall by this share of the best steps' average, so that losing a small gain does not count."""
SURE = 3.0
"""Standard errors that a fall must exceed: the best of many windows is partly luck, so two would often be chance."""


def judge_format(history: RunHistory) -> Finding | None:
    """The format is the easier part of many rewards, and a model may learn only that."""
    form, answer = history.move("format_accuracy"), history.move("answer_accuracy")
    if form is None or answer is None or answer.after >= MOSTLY_RIGHT:
        return None
    answers_rose = answer.has_risen and answer.rise >= ANSWER_RISE
    learned_format = form.has_risen and form.rise >= FORMAT_RISE
    only_format = form.after >= GOOD_FORMAT and answer.after <= RARELY_RIGHT
    if answers_rose or not (learned_format or only_format):
        return None
    return Finding(
        name=Topic.FORMAT_WITHOUT_ACCURACY,
        severity=Severity.WARNING,
        what=f"The model learns the format but not the answers: {form.before:.0%} of the answers were in the right "
        f"format at first and {form.after:.0%} are now, but {answer.before:.0%} were right and {answer.after:.0%} are.",
        numbers={
            **history.recent.means("format_accuracy", "answer_accuracy", "reward"),
            **history.opening.means("format_accuracy", "answer_accuracy", "reward", suffix="_at_first"),
        },
        steps=history.recent.span,
        remedies=(*_pay_for_answers(history), "Train on easier prompts, some of them answered right already."),
    )


def judge_collapse(history: RunHistory) -> Finding | None:
    """The reward was higher before."""
    best, start = history.best, history.opening
    move = move_between(best, history.recent, history.goal)
    at_first = start.mean(history.goal)
    if move is None or at_first is None:
        return None
    lost, gained = -move.rise, move.before - at_first
    if lost <= SURE * move.error or lost < LOST_SHARE * gained or lost < FELL_BY * abs(move.before):
        return None
    first, last = best.span
    return Finding(
        name=Topic.REWARD_COLLAPSE,
        severity=Severity.PROBLEM,
        what=f"The model was better before: {history.goal} was {move.before:.2f} in steps {first} to {last} and is "
        f"{move.after:.2f} now ({at_first:.2f} at first).",
        numbers={
            history.goal: move.after,
            f"{history.goal}_at_best": move.before,
            f"{history.goal}_at_first": at_first,
            **history.recent.means("entropy", "grad_norm", "kl"),
            **best.means("entropy", "grad_norm", "kl", suffix="_at_best"),
        },
        steps=history.recent.span,
        remedies=(
            lower_learning_rate(history),
            hold_near_start(history),
            f"Use the weights of about step {last}: checkpoints/ has those that run.keep_last and run.keep_best kept.",
            read_answers("some answers"),
        ),
    )


RULES = (judge_format, judge_collapse)


def _pay_for_answers(history: RunHistory) -> tuple[str, ...]:
    gate = (
        () if history.config.reward.format_gate else ("Set reward.format_gate to true: a wrong format earns nothing.",)
    )
    if history.config.data.task is not None:
        return gate
    return ("Lower grader.format_weight, so that the format alone earns less.", *gate)
