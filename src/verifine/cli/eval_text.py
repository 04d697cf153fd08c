"""The result of `verifine eval`, as text and as plain values."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

from verifine.cli.one_line import one_line
from verifine.insights.findings import finding_numbers
from verifine.insights.held_out import MetricWithInterval, evaluation_numbers, metrics_with_intervals
from verifine.insights.inference import Conclusion
from verifine.insights.outcome import describe_changes, describe_difference, describe_duration, describe_interval
from verifine.insights.pairs import Pairing, pair_up
from verifine.insights.text_table import GAP, text_table
from verifine.launch.eval_spec import EvalSpec
from verifine.launch.evaluate import ModelEvaluation
from verifine.runs.evaluations import EvaluatedSample, Evaluation, decisive
from verifine.types import Json

_WIDEST = 120
_SHOWN = 3
_LONGEST_NAME = 30


def describe_evaluations(spec: EvalSpec, evaluated: Sequence[ModelEvaluation]) -> str:
    """The numbers, the verdict if there are two models, and a few answers; in lines that fit the terminal."""
    width = min(_WIDEST, shutil.get_terminal_size().columns)
    evaluations = [each.evaluation for each in evaluated]
    return "\n".join(
        [
            _title(spec, evaluations[0]),
            "",
            *_table(evaluated),
            *_verdict(evaluated, width),
            "",
            *_examples(evaluations, width),
            f"Evaluated in {describe_duration(sum(each.seconds for each in evaluated))}.",
        ]
    )


def eval_command_numbers(spec: EvalSpec, evaluated: Sequence[ModelEvaluation]) -> dict[str, Json]:
    """What `verifine eval --json` prints."""
    pairing = _pairing(evaluated)
    return {
        "asked": spec.place,
        "models": [
            {
                "model": each.target.label,
                "precision": each.precision,
                "seconds": round(each.seconds, 1),
                **evaluation_numbers(each.evaluation),
                "findings": [finding_numbers(finding) for finding in each.findings],
            }
            for each in evaluated
        ],
        "verdict": None if pairing is None else pairing.numbers(),
    }


def _title(spec: EvalSpec, evaluation: Evaluation) -> str:
    answers = evaluation.answers_each
    manner = (
        "one greedy answer each"
        if answers <= 1
        else f"{answers} answers each at temperature {evaluation.temperature:g}"
    )
    return f"{spec.place}, {manner}"


def _table(evaluated: Sequence[ModelEvaluation]) -> list[str]:
    """A row for each number; the 95 % intervals are over problems."""
    columns = [{each.name: each for each in metrics_with_intervals(one.evaluation)} for one in evaluated]
    names = list(dict.fromkeys(name for column in columns for name in column))
    if not names:
        return ["No answer could be scored."]
    heads = ["", *(cell for one in evaluated for cell in (one.target.label, "95 % interval"))]
    rows = [[name, *(cell for column in columns for cell in _cells(column.get(name)))] for name in names]
    return text_table([heads, *rows])


def _cells(standing: MetricWithInterval | None) -> tuple[str, str]:
    if standing is None:
        return "-", "-"
    return f"{standing.value:.2f}", "-" if standing.interval is None else describe_interval(standing.interval)


def _pairing(evaluated: Sequence[ModelEvaluation]) -> Pairing | None:
    """The first model compared with the second; None: there is only one."""
    return pair_up(evaluated[1].evaluation, evaluated[0].evaluation) if len(evaluated) == 2 else None


def _verdict(evaluated: Sequence[ModelEvaluation], width: int) -> Iterator[str]:
    pairing = _pairing(evaluated)
    if pairing is None:
        return
    yield ""
    if not pairing.pairs:
        yield "The models cannot be compared: no problem has an answer from both that could be judged."
        return
    one, other = (each.target.label for each in evaluated)
    verdict = f"{one} is {pairing.conclusion.value} than {other}"
    if pairing.conclusion is Conclusion.NO_EVIDENCE:
        verdict = f"There is no evidence that {one} differs from {other}"
    told = f"{verdict}: {describe_difference(pairing)}. {describe_changes(pairing)}."
    yield from textwrap.wrap(told, width, break_long_words=False, break_on_hyphens=False)


def _examples(evaluations: Sequence[Evaluation], width: int) -> Iterator[str]:
    """For two models, problems with different results; for one, examples of its best, worst and typical answers."""
    longest = min(_LONGEST_NAME, max(len(evaluation.name) for evaluation in evaluations))
    if len(evaluations) == 2:
        for pair in pair_up(evaluations[1], evaluations[0]).examples(_SHOWN):
            yield one_line(pair.after.prompt, width)
            for evaluation, sample in zip(evaluations, (pair.after, pair.before), strict=True):
                yield _answer(one_line(evaluation.name, _LONGEST_NAME).ljust(longest), sample, width)
            yield ""
        return
    for sample in _both_ways(evaluations[0]):
        yield one_line(sample.prompt, width)
        yield _answer("answer", sample, width)
        yield ""


def _both_ways(evaluation: Evaluation) -> list[EvaluatedSample]:
    """A typical answer to the best problem, to the worst, and to the one in the middle."""
    measure = decisive(evaluation)
    if measure is None:
        return list(evaluation.samples[:_SHOWN])
    ranked = sorted(
        (problem for problem in evaluation.problems if problem.average(measure) is not None),
        key=lambda problem: -(problem.average(measure) or 0.0),
    )
    places = dict.fromkeys([0, len(ranked) // 2, len(ranked) - 1])
    return [ranked[place].typical(measure) for place in places]


def _answer(name: str, sample: EvaluatedSample, width: int) -> str:
    start = f"{GAP}{name}{GAP}{_grade(sample)}{GAP}"
    return start + one_line(sample.text, max(20, width - len(start)))


def _grade(sample: EvaluatedSample) -> str:
    score = "unscorable" if sample.score is None else f"{sample.score:.2f}"
    return score if sample.second_score is None else f"{score} (second grader {sample.second_score:.2f})"
