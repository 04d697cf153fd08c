"""The answers to held-out problems, as graded: `eval/baseline.json`, `eval/step-20.json`, `eval/final.json`.

Averages are here, since the trainer chooses weights by them. Intervals and pass@k are in `insights.held_out`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.errors import ConfigError
from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.runs.jsonl import rows_to_bytes

Measure = Literal["second_answer", "second_score", "answer", "format", "reward"]
"""second_score: the score of a second grader; second_answer: the share of answers that are right by it; answer and
format: shares by the grader that training uses; reward: its score."""

DECISIVE: Sequence[Measure] = ("second_answer", "second_score", "answer", "reward")
"""Two evaluations are compared by the first of these that both have."""

NAMES: Mapping[Measure, str] = {
    "answer": "answer_accuracy",
    "format": "format_accuracy",
    "reward": "reward",
    "second_score": "second_score",
    "second_answer": "second_accuracy",
}
"""The names of the measures in JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSample:
    """One answer to a held-out problem, and its grades."""

    prompt_id: str
    prompt: str
    text: str
    score: float | None
    """None: unscorable."""
    format_ok: bool | None
    """None: not judged."""
    answer_ok: bool | None
    """None: not judged."""
    gold: str | None = None
    """The right answer; None: not known."""
    sample: int = 0
    """Its place among the answers to the problem, from 0."""
    second_score: float | None = Field(default=None, validation_alias=AliasChoices("second_score", "truth"))
    """The second grader's score; None: there is no second grader, or it could not score the answer."""
    second_answer_ok: bool | None = Field(default=None, validation_alias=AliasChoices("second_answer_ok", "truth_ok"))
    """Whether the answer is right by the second grader; None: not judged."""
    passed: bool | None = None
    """Whether it counts as solved, for pass@k; None: not known."""
    opened: str = ""
    """What graders read before the text, as `Prompt.opened`."""
    answer_start: int = 0
    """As in `Rollout`: where the answer begins in the text, behind the thought."""
    reasoning_tokens: int | None = None
    """As in `Rollout`."""
    parts: Mapping[str, float] = Field(default_factory=dict)
    """As in `Grade`: the named scores that make up the score."""

    def value(self, measure: Measure) -> float | None:
        """None: not judged, or unscorable."""
        match measure:
            case "second_answer":
                return None if self.second_answer_ok is None else float(self.second_answer_ok)
            case "second_score":
                return self.second_score
            case "answer":
                return None if self.answer_ok is None else float(self.answer_ok)
            case "format":
                return None if self.format_ok is None else float(self.format_ok)
            case "reward":
                return self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedProblem:
    """A held-out problem with all answers to it, at least one."""

    samples: tuple[EvaluatedSample, ...]

    @property
    def prompt_id(self) -> str:
        return self.samples[0].prompt_id

    @property
    def prompt(self) -> str:
        return self.samples[0].prompt

    def average(self, measure: Measure) -> float | None:
        """avg@k over the answers with a known value; None: there are none."""
        return _mean([value for sample in self.samples if (value := sample.value(measure)) is not None])

    @property
    def part_averages(self) -> dict[str, float]:
        """The average of each named part of the score, over the answers that have it."""
        return mean_of_each(sample.parts for sample in self.samples)

    def typical(self, measure: Measure) -> EvaluatedSample:
        """The answer that is closest to their average."""
        average = self.average(measure) or 0.0
        return min(self.samples, key=lambda sample: abs((sample.value(measure) or 0.0) - average))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation. Its averages are over problems, of the averages over the answers to each problem."""

    name: str
    """`baseline`, `final`, or `step-` and the number of training steps before it."""
    samples: tuple[EvaluatedSample, ...]
    """The answers to a problem stand together."""
    temperature: float = 0.0
    """The sampling temperature; 0: greedy."""
    step: int | None = None
    """The training step of the weights; None: as the name says, and the last step for `final`."""

    @property
    def problems(self) -> tuple[EvaluatedProblem, ...]:
        grouped: dict[str, list[EvaluatedSample]] = {}
        for sample in self.samples:
            grouped.setdefault(sample.prompt_id, []).append(sample)
        return tuple(EvaluatedProblem(samples=tuple(samples)) for samples in grouped.values())

    @property
    def answers_each(self) -> int:
        """k, the number of answers to each problem; 0: there is no problem."""
        return max((len(problem.samples) for problem in self.problems), default=0)

    @property
    def reward(self) -> float | None:
        """The average score; None: nothing could be scored."""
        return self.average("reward")

    @property
    def answer_accuracy(self) -> float | None:
        """The share of right answers; None: not judged."""
        return self.average("answer")

    @property
    def part_averages(self) -> dict[str, float]:
        """The average of each named part of the score, over the problems with an answer that has it."""
        return mean_of_each(problem.part_averages for problem in self.problems)

    @property
    def format_accuracy(self) -> float | None:
        """The share of answers in the right format; None: not judged."""
        return self.average("format")

    def average(self, measure: Measure) -> float | None:
        """avg@k; None: not judged, or nothing could be scored."""
        return _mean(self.averages(measure))

    def averages(self, measure: Measure) -> list[float]:
        """The average of each problem that has one."""
        return [value for problem in self.problems if (value := problem.average(measure)) is not None]


_EVALUATION = TypeAdapter(Evaluation)


def decisive(*evaluations: Evaluation, among: Sequence[Measure] = DECISIVE) -> Measure | None:
    """The first measure that all these evaluations have; None: there is none."""
    return next((measure for measure in among if all(each.average(measure) is not None for each in evaluations)), None)


def step_of_name(name: str) -> int:
    """The training steps before the evaluation of that name; `final` comes after all others."""
    number = name.removeprefix("step-")
    if number.isdecimal():
        return int(number)
    return 0 if name == "baseline" else sys.maxsize


def write_evaluation(folder: Path, evaluation: Evaluation, disk: Disk = LOCAL_DISK) -> Path:
    path = folder / f"{evaluation.name}.json"
    write_whole(path, rows_to_bytes([asdict(evaluation)]), disk)
    return path


def read_evaluation(path: Path) -> Evaluation:
    """Read what `write_evaluation` wrote.

    Raises:
        ConfigError: the file holds something else.
    """
    try:
        # Python's reader takes half of a surrogate pair, which a row of data may hold; pydantic's does not.
        return _EVALUATION.validate_python(json.loads(path.read_bytes()))
    except ValueError as error:
        raise ConfigError(f"{path}: this is not an evaluation; remove it or restore the file") from error


def read_evaluations(folder: Path) -> dict[str, Evaluation]:
    """Every evaluation of a run by name; empty if there is no folder."""
    evaluations = [read_evaluation(path) for path in sorted(folder.glob("*.json"))]
    return {evaluation.name: evaluation for evaluation in evaluations}


def mean_of_each(parts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each name, over those that have it."""
    values: dict[str, list[float]] = {}
    for each in parts:
        for name, value in each.items():
            values.setdefault(name, []).append(value)
    return {name: sum(each) / len(each) for name, each in values.items()}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
