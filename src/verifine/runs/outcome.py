"""What came of a run, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping

from verifine.runs.evaluation import Evaluation
from verifine.runs.pairs import Change, Pairing, pair_up
from verifine.runs.record import RunRecord

CHANCE_LIMIT = 0.05
"""Above this, a difference is said to be within chance."""

_STATES: Mapping[str, str] = {
    "finished": "Finished without a held-out evaluation",
    "out_of_time": "Out of time, without a held-out evaluation",
    "no_signal": "Ended for lack of signal, without a held-out evaluation",
    "interrupted": "Interrupted",
}
"""What the last event of a run says of it."""


def describe_outcome(record: RunRecord) -> str:
    """Did the model get better, by how much, how sure is that, and what did it take?"""
    baseline, final = record.baseline, record.final
    if baseline is None or final is None:
        return _describe_training(record)
    if baseline.answer_accuracy is not None and final.answer_accuracy is not None:
        low, high = final.interval() or (0.0, 1.0)
        certainty = f", 95 % interval {low:.2f} to {high:.2f}"
        moved = _describe_move("Held-out answer accuracy", baseline.answer_accuracy, final.answer_accuracy)
    elif baseline.reward is not None and final.reward is not None:
        certainty = ""
        moved = _describe_move("The average reward on held-out problems", baseline.reward, final.reward)
    else:
        return f"None of the {len(final.samples)} held-out answers could be scored. {_describe_training(record)}"
    sentence = f"{moved} ({count(len(final.samples), 'problem')}{certainty}) in {_describe_effort(record)}."
    return f"{sentence}{_describe_chance(baseline, final)}"


def describe_duration(seconds: float) -> str:
    """`45 s`, `4 min 12 s` or `2 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe_probability(probability: float) -> str:
    """`p = 0.031`, and never `p = 0.000`."""
    return "p < 0.001" if probability < 0.001 else f"p = {probability:.3f}"


def describe_changes(pairing: Pairing) -> str:
    """How many problems were won and lost."""
    won, lost = len(pairing.of(Change.WON)), len(pairing.of(Change.LOST))
    return f"Of {count(len(pairing.pairs), 'problem')}, {won} got better and {lost} got worse"


def _describe_move(subject: str, before: float, after: float) -> str:
    if f"{before:.2f}" == f"{after:.2f}":
        return f"{subject} stayed at {after:.2f}"
    return f"{subject} {'rose' if after > before else 'fell'} from {before:.2f} to {after:.2f}"


def _describe_chance(baseline: Evaluation, final: Evaluation) -> str:
    pairing = pair_up(baseline, final)
    if not pairing.pairs or pairing.chance <= CHANCE_LIMIT:
        return ""
    return f" {describe_changes(pairing)}: a difference this small can be chance."


def _describe_training(record: RunRecord) -> str:
    """For a run without a held-out evaluation after it."""
    rewards = [reward for reward in record.series("reward") if reward is not None]
    if not rewards:
        return f"{_describe_state(record)}; no step is done yet."
    if len(rewards) == 1:
        return f"{_describe_state(record)} after {_describe_effort(record)}; the average reward was {rewards[0]:.2f}."
    moved = _describe_move("the average reward of a step", rewards[0], rewards[-1])
    return f"{_describe_state(record)} after {_describe_effort(record)}; {moved}."


def _describe_state(record: RunRecord) -> str:
    last = record.events[-1] if record.events else None
    if last is None:
        return "Not finished"
    if last.type == "failed":
        return f"Failed ({last.fields.get('error')})"
    return _STATES.get(last.type, "Not finished")


def _describe_effort(record: RunRecord) -> str:
    steps = count(record.steps, "step")
    return steps if record.duration_s is None else f"{steps} and {describe_duration(record.duration_s)}"
