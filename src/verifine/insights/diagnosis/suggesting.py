"""Hints that several rules give, with values from the configuration."""

from __future__ import annotations

from verifine.insights.diagnosis.history import RunHistory

STEP = 3.0
"""The factor to change a learning rate by: a smaller change is lost in the noise of a run."""
SMALL_BETA = 0.02
"""A KL penalty that keeps a model near its start and still lets it learn; published values are 0.001 to 0.04."""
SMALL_BONUS = 0.01
START_AGAIN = "Start again from the base model: answers that the model no longer gives seldom come back."
_FIRST_BONUS = f"Set algorithm.entropy_bonus to {SMALL_BONUS:g}"


def lower_learning_rate(history: RunHistory) -> str:
    return _change_learning_rate(history, "Lower", 1 / STEP)


def raise_learning_rate(history: RunHistory) -> str:
    return _change_learning_rate(history, "Raise", STEP)


def hold_near_start(history: RunHistory) -> str:
    """By the KL penalty."""
    beta, has_penalty = history.config.algorithm.beta, history.config.algorithm.recipe.kl is not None
    if beta:
        return f"Raise algorithm.beta from {beta:g} to {3 * beta:g}: it keeps the model near where it started."
    another = "" if has_penalty else ", with an algorithm.name that has a KL penalty, such as grpo"
    return f"Set algorithm.beta to {SMALL_BETA:g}{another}: it keeps the model near where it started."


def raise_entropy_bonus(history: RunHistory) -> str:
    bonus, control = history.config.algorithm.entropy_bonus, history.config.algorithm.entropy_control
    if control is not None:
        highest = f"algorithm.entropy_control.highest from {control.highest:g} to {2 * control.highest:g}"
        return f"Raise {highest}: the bonus could not hold the entropy."
    change = f"Raise algorithm.entropy_bonus from {bonus:g} to {2 * bonus:g}" if bonus else _FIRST_BONUS
    return f"{change}: the model keeps exploring for longer."


def compare_prompts(history: RunHistory) -> tuple[str, ...]:
    """Empty if answers to different prompts are compared already."""
    row, gain = history.config.algorithm.recipe, "so groups that are all wrong teach something, too."
    if not history.config.compares_within_groups:
        return ()
    if row.scaling is None:
        return (f"Set algorithm.name to reinforce_pp: it compares all answers of a step, {gain}",)
    return (
        f"Set reward.batch_baseline to 0.5 and reward.scaling to batch: all answers of a step are compared, {gain}",
    )


def more_answers(history: RunHistory) -> str:
    size = history.config.sampling.group_size
    return f"Raise sampling.group_size from {size} to {2 * size}: a rare answer is then sampled more often."


def learned_before(history: RunHistory) -> str:
    """A sentence for findings that would otherwise read as if the run had failed; empty if it has not got better."""
    move = history.move(history.goal)
    if move is None or not move.has_risen:
        return ""
    return f" It has learned before: {history.goal} rose from {move.before:.2f} to {move.after:.2f}."


def longer_answers(history: RunHistory) -> str:
    most = history.config.sampling.max_new_tokens
    return "Raise sampling.max_new_tokens" + (f" from {most} to {2 * most}." if most else ".")


def pay_less_for_length(history: RunHistory) -> tuple[str, ...]:
    """Empty if it is set already."""
    if history.config.reward.overlong_share:
        return ()
    return ("Set reward.overlong_share to 0.2: answers near the limit then score less.",)


def read_answers(what: str) -> str:
    return f"Read {what} of the latest steps in rollouts/."


def _change_learning_rate(history: RunHistory, verb: str, factor: float) -> str:
    rate = history.learning_rate
    return f"{verb} optim.learning_rate" + (f" from {rate:g} to {rate * factor:.1g}." if rate else ".")
