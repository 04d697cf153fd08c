"""Does the reward mean what it should, and does it stay up?"""

from __future__ import annotations

from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import Story, move_between
from verifine.insights.diagnosis.suggesting import hold_near_start, lower_learning_rate, read_answers

FORMAT_RISE = 0.1
"""Share of answers by which the format must have got better, to say that it was learned."""
GOOD_FORMAT = 0.9
ANSWER_RISE = 0.05
"""Share of answers up to which right answers have not got better, whatever chance says."""
RARELY_RIGHT = 0.1
MOSTLY_RIGHT = 0.8
"""From here on answers have little room to get better in."""

LOST_SHARE = 0.5
"""Of what was gained from the beginning to the best steps."""
FELL_BY = 0.2
"""Of the best steps' average, so that a small fall of a small rise is no collapse."""
SURE = 3.0
"""Standard errors of a fall: the best of many stretches is partly luck, and two would often be chance."""


def judge_format(story: Story) -> Finding | None:
    """The format is the easier half of many rewards, and a model may be content with it."""
    form, answer = story.move("format_accuracy"), story.move("answer_accuracy")
    if form is None or answer is None or answer.after >= MOSTLY_RIGHT:
        return None
    answers_rose = answer.has_risen and answer.rise >= ANSWER_RISE
    learned_format = form.has_risen and form.rise >= FORMAT_RISE
    only_format = form.after >= GOOD_FORMAT and answer.after <= RARELY_RIGHT
    if answers_rose or not (learned_format or only_format):
        return None
    return Finding(
        topic=Topic.FORMAT_WITHOUT_ACCURACY,
        severity=Severity.WARNING,
        found=f"The model learns the format and not the answers: {form.before:.0%} of the answers were in the right "
        f"format at first and {form.after:.0%} are now, but {answer.before:.0%} were right and {answer.after:.0%} are.",
        evidence={
            **story.recent.means("format_accuracy", "answer_accuracy", "reward"),
            **story.opening.means("format_accuracy", "answer_accuracy", "reward", suffix="_at_first"),
        },
        steps=story.recent.span,
        changes=(*_pay_for_answers(story), "Train on easier prompts, of which some are answered right already."),
    )


def judge_collapse(story: Story) -> Finding | None:
    """It was better before."""
    best, start = story.best, story.opening
    move = move_between(best, story.recent, story.goal)
    at_first = start.mean(story.goal)
    if move is None or at_first is None:
        return None
    lost, gained = -move.rise, move.before - at_first
    if lost <= SURE * move.error or lost < LOST_SHARE * gained or lost < FELL_BY * abs(move.before):
        return None
    first, last = best.span
    return Finding(
        topic=Topic.REWARD_COLLAPSE,
        severity=Severity.PROBLEM,
        found=f"It was better before: {story.goal} was {move.before:.2f} in steps {first} to {last} and is "
        f"{move.after:.2f} now ({at_first:.2f} at first).",
        evidence={
            story.goal: move.after,
            f"{story.goal}_at_best": move.before,
            f"{story.goal}_at_first": at_first,
            **story.recent.means("entropy", "grad_norm", "kl"),
            **best.means("entropy", "grad_norm", "kl", suffix="_at_best"),
        },
        steps=story.recent.span,
        changes=(
            lower_learning_rate(story),
            hold_near_start(story),
            f"Use the weights of about step {last}: checkpoints/ has what run.keep_last and run.keep_best kept.",
            read_answers("some answers"),
        ),
    )


RULES = (judge_format, judge_collapse)


def _pay_for_answers(story: Story) -> tuple[str, ...]:
    gate = () if story.config.reward.format_gate else ("Set reward.format_gate to true: a wrong format earns nothing.",)
    if story.config.data.task is not None:
        return gate
    return ("Lower grader.format_weight, so that the format alone earns less.", *gate)
