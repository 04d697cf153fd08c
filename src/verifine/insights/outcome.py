"""The result of a run, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from verifine.insights.held_out import Interval, interval_of
from verifine.insights.inference import Conclusion
from verifine.insights.pairs import Pairing, ProblemChange, pair_up
from verifine.runs.evaluations import Evaluation, Measure, decisive
from verifine.runs.events import last_end
from verifine.runs.record import RunRecord
from verifine.runs.status import SOLVED, Status

_SUBJECTS: Mapping[Measure, str] = {
    "answer": "Held-out answer accuracy",
    "reward": "The average reward on held-out problems",
    "second_answer": "Held-out answer accuracy by the second grader",
    "second_score": "The second grader's score on held-out problems",
}

_TRAINED_ON: Sequence[Measure] = ("answer", "reward")
"""The measures that are reported for the training grader if there is a second one."""

_STATES: Mapping[Status, str] = {
    Status.FINISHED: "Finished without a held-out evaluation",
    Status.OUT_OF_TIME: "Out of time, without a held-out evaluation",
    Status.NO_SIGNAL: "Ended for lack of signal, without a held-out evaluation",
    Status.INTERRUPTED: "Interrupted",
}
"""For runs without a held-out evaluation after training."""


def describe_outcome(record: RunRecord) -> str:
    """Whether the model got better, by how much, how certain that is, and what it took."""
    baseline, final = record.baseline, record.final
    if baseline is None or final is None:
        return _describe_training(record)
    pairing = pair_up(baseline, final)
    measure = pairing.measure
    if measure is None:
        told = _describe_rewards(record)
        return f"None of the {len(final.samples)} held-out answers could be scored after {told}."
    moved = _describe_move(_SUBJECTS[measure], baseline, final, measure)
    evidence = f"({describe_problems(final)}{_describe_interval(final, measure)})"
    sentence = f"{moved} {evidence} in {_describe_effort(record)}."
    further = [*_verdict(pairing), *_other_grader(measure, baseline, final), *_choice(record)]
    return " ".join([sentence, *further])


def describe_rise(pairing: Pairing, before: Evaluation, after: Evaluation) -> str:
    """`held-out answer accuracy rose from 0.23 to 0.88 (p < 0.001)`, for a pairing with a measure."""
    assert pairing.measure is not None, "only what could be compared can have risen"
    moved = _describe_move(_SUBJECTS[pairing.measure], before, after, pairing.measure)
    return f"{moved[0].lower()}{moved[1:]} ({describe_probability(pairing.p_value)})"


def describe_pairing(pairing: Pairing) -> str:
    """`Better: +0.38 (95 % interval 0.25 to 0.50, p < 0.001).`, or that there is no evidence; empty: no pairs."""
    if not pairing.pairs:
        return ""
    if pairing.conclusion is Conclusion.NO_EVIDENCE:
        return f"No evidence of a difference: {describe_difference(pairing)}."
    return f"{pairing.conclusion.value.capitalize()}: {describe_difference(pairing)}."


def describe_difference(pairing: Pairing) -> str:
    """`+0.38 (95 % interval 0.25 to 0.50, p < 0.001)`; empty: there are no pairs."""
    if pairing.difference is None:
        return ""
    interval = "" if pairing.interval is None else f"95 % interval {describe_interval(pairing.interval)}, "
    return f"{pairing.difference:+.2f} ({interval}{describe_probability(pairing.p_value)})"


def describe_problems(evaluation: Evaluation) -> str:
    """`64 problems`, and where there are several the answers to each."""
    problems, answers = pluralize(len(evaluation.problems), "problem"), evaluation.answers_each
    return problems if answers <= 1 else f"{problems}, {answers} answers each"


def describe_interval(interval: Interval) -> str:
    """`0.53 to 0.76`, and never `-0.00`."""
    low, high = (round(end, 2) + 0.0 for end in interval)
    return f"{low:.2f} to {high:.2f}"


def describe_duration(seconds: float) -> str:
    """`45 s`, `4 min 12 s` or `2 h 3 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def pluralize(number: int, noun: str) -> str:
    """`1 step`, `2 steps`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def describe_probability(probability: float) -> str:
    """`p = 0.031`, and never `p = 0.000`."""
    return "p < 0.001" if probability < 0.001 else f"p = {probability:.3f}"


def describe_changes(pairing: Pairing) -> str:
    """How many problems got better and worse."""
    won, lost = len(pairing.of(ProblemChange.WON)), len(pairing.of(ProblemChange.LOST))
    return f"Of {pluralize(len(pairing.pairs), 'problem')}, {won} got better and {lost} got worse"


def _describe_move(subject: str, before: Evaluation, after: Evaluation, measure: Measure) -> str:
    return _moved(subject, before.average(measure) or 0.0, after.average(measure) or 0.0)


def _moved(subject: str, before: float, after: float) -> str:
    if f"{before:.2f}" == f"{after:.2f}":
        return f"{subject} stayed at {after:.2f}"
    return f"{subject} {'rose' if after > before else 'fell'} from {before:.2f} to {after:.2f}"


def _describe_interval(evaluation: Evaluation, measure: Measure) -> str:
    interval = interval_of(evaluation, measure)
    return "" if interval is None else f", 95 % interval {describe_interval(interval)}"


def _verdict(pairing: Pairing) -> list[str]:
    if pairing.conclusion is Conclusion.NO_EVIDENCE:
        return [describe_pairing(pairing), f"{describe_changes(pairing)}."]
    return [describe_pairing(pairing)] if pairing.pairs else []


def _other_grader(decided_by: Measure, baseline: Evaluation, final: Evaluation) -> list[str]:
    """What the training grader says, where a second one decides: a gap between them is a sign of a hacked reward."""
    measure = decisive(baseline, final, among=_TRAINED_ON)
    if decided_by in _TRAINED_ON or measure is None:
        return []
    return [f"{_describe_move('By the training grader it', baseline, final, measure)}."]


def _choice(record: RunRecord) -> list[str]:
    """A warning, since the best of several evaluations looks better than it is."""
    tries = len({step for step, _ in record.evaluations})
    if record.config.evaluation.keep != "best" or tries < 3:
        return []
    return [
        f"These weights are the best of {tries} evaluations on the same problems, so this number is likely too high: "
        "evaluate them on other problems with `verifine eval`."
    ]


def _describe_training(record: RunRecord) -> str:
    """For a run without a held-out evaluation after it."""
    if not record.steps:
        return f"{_describe_state(record)}; no step is done yet."
    return f"{_describe_state(record)} after {_describe_rewards(record)}."


def _describe_rewards(record: RunRecord) -> str:
    """`12 steps and 40 s; the average reward of a step rose from 0.20 to 0.90`."""
    rewards = [reward for reward in record.series("reward") if reward is not None]
    if not rewards:
        moved = "no answer to learn from could be scored"
    elif len(rewards) == 1:
        moved = f"the average reward was {rewards[0]:.2f}"
    else:
        moved = _moved("the average reward of a step", rewards[0], rewards[-1])
    return f"{_describe_effort(record)}; {moved}"


def _describe_state(record: RunRecord) -> str:
    end = last_end(record.events)
    if end is None:
        return "Not finished"
    if end.status is Status.FAILED:
        return f"Failed ({end.error})"
    if end.reason == SOLVED:
        return "Ended because there was nothing left to learn, without a held-out evaluation"
    return _STATES.get(end.status, "Not finished")


def _describe_effort(record: RunRecord) -> str:
    steps = pluralize(record.steps, "step")
    return steps if record.duration_s is None else f"{steps} and {describe_duration(record.duration_s)}"
