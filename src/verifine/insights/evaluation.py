"""How a model does on held-out problems: `eval/baseline.json`, `eval/step-20.json`, `eval/final.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.errors import ConfigError
from verifine.insights.attempts import ladder, pass_at_k
from verifine.insights.chance import bootstrap_interval, wilson_interval
from verifine.machine.disk import LOCAL_DISK, Disk, write_whole
from verifine.runs.jsonl import rows_to_bytes
from verifine.types import Json

Measure = Literal["truth_answer", "truth", "answer", "format", "reward"]
"""truth: the score of a second grader, and truth_answer the share of answers that are right by it; answer and format:
shares by the grader that training goes by; reward: its score."""

DECISIVE: Sequence[Measure] = ("truth_answer", "truth", "answer", "reward")
"""What a model is called better by: the first of these that there is."""

NAMES: Mapping[Measure, str] = {
    "answer": "answer_accuracy",
    "format": "format_accuracy",
    "reward": "reward",
    "truth": "truth",
    "truth_answer": "truth_accuracy",
}
"""What programs are told a measure by."""

Interval = tuple[float, float]
"""A 95 % interval over problems."""


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
    """The right answer; None: there is not one."""
    sample: int = 0
    """Its place among the answers to the problem, from 0."""
    truth: float | None = None
    """The second grader's score; None: there is none, or it could not score the answer."""
    truth_ok: bool | None = None
    """Whether the answer is right by the second grader; None: not judged."""
    passed: bool | None = None
    """Whether it counts as solved, for pass@k; None: nobody knows."""

    def worth(self, measure: Measure) -> float | None:
        """None: not judged, or unscorable."""
        match measure:
            case "truth_answer":
                return None if self.truth_ok is None else float(self.truth_ok)
            case "truth":
                return self.truth
            case "answer":
                return None if self.answer_ok is None else float(self.answer_ok)
            case "format":
                return None if self.format_ok is None else float(self.format_ok)
            case "reward":
                return self.score


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedProblem:
    """A held-out problem with all answers to it, one at least."""

    samples: tuple[EvaluatedSample, ...]

    @property
    def prompt_id(self) -> str:
        return self.samples[0].prompt_id

    @property
    def prompt(self) -> str:
        return self.samples[0].prompt

    def average(self, measure: Measure) -> float | None:
        """avg@k, over the answers that it is known of; None: of none."""
        return _mean([worth for sample in self.samples if (worth := sample.worth(measure)) is not None])

    def pass_at(self, k: int) -> float | None:
        """None: it is not known of k answers whether they pass."""
        verdicts = [sample.passed for sample in self.samples if sample.passed is not None]
        return None if len(verdicts) < k else pass_at_k(len(verdicts), sum(verdicts), k)

    def typical(self, measure: Measure) -> EvaluatedSample:
        """The answer that is closest to their average."""
        average = self.average(measure) or 0.0
        return min(self.samples, key=lambda sample: abs((sample.worth(measure) or 0.0) - average))


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation found. A number of it is the average over problems of the averages of their answers."""

    name: str
    """`baseline`, `final`, or `step-` and the number of training steps before it."""
    samples: tuple[EvaluatedSample, ...]
    """The answers to a problem stand together."""
    temperature: float = 0.0
    """What the answers were sampled at; 0: greedily."""
    step: int | None = None
    """After how many training steps the weights were so; None: as the name says, and at the end for `final`."""

    @property
    def problems(self) -> tuple[EvaluatedProblem, ...]:
        grouped: dict[str, list[EvaluatedSample]] = {}
        for sample in self.samples:
            grouped.setdefault(sample.prompt_id, []).append(sample)
        return tuple(EvaluatedProblem(samples=tuple(samples)) for samples in grouped.values())

    @property
    def answers_each(self) -> int:
        """k: how many answers each problem got; 0: there is no problem."""
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
    def format_accuracy(self) -> float | None:
        """The share of answers in the right format; None: not judged."""
        return self.average("format")

    def average(self, measure: Measure) -> float | None:
        """avg@k; None: not judged, or nothing could be scored."""
        return _mean(self._averages(measure))

    def pass_at(self, k: int) -> float | None:
        """How likely one of k answers solves a problem; None: it is not known of k answers to any problem."""
        return _mean(self._passes(k))

    def interval(self, measure: Measure = "answer") -> Interval | None:
        """Of `average`; None: it is not known."""
        values = self._averages(measure)
        return over_problems(values) if measure in ("reward", "truth") else _of_shares(values)

    def pass_interval(self, k: int) -> Interval | None:
        return _of_shares(self._passes(k))

    def numbers(self) -> dict[str, Json]:
        """What came out, for programs; null: not judged. Intervals are those that hold 95 %, over problems."""
        intervals = {name: self.interval(measure) for measure, name in NAMES.items()}
        steps = [k for k in ladder(self.answers_each) if self.pass_at(k) is not None]
        return {
            **{name: self.average(measure) for measure, name in NAMES.items()},
            "pass_at": {str(k): self.pass_at(k) for k in steps},
            "intervals": {
                **{name: list(interval) for name, interval in intervals.items() if interval is not None},
                **{f"pass_at_{k}": list(interval) for k in steps if (interval := self.pass_interval(k)) is not None},
            },
            "problems": len(self.problems),
            "samples": len(self.samples),
            "temperature": self.temperature,
        }

    def _averages(self, measure: Measure) -> list[float]:
        """Of each problem that has one."""
        return [value for problem in self.problems if (value := problem.average(measure)) is not None]

    def _passes(self, k: int) -> list[float]:
        return [value for problem in self.problems if (value := problem.pass_at(k)) is not None]


_EVALUATION = TypeAdapter(Evaluation)


def decisive(*evaluations: Evaluation, among: Sequence[Measure] = DECISIVE) -> Measure | None:
    """What models are compared by: the first measure that all of these have; None: there is none."""
    return next((measure for measure in among if all(each.average(measure) is not None for each in evaluations)), None)


def over_problems(values: Sequence[float]) -> Interval | None:
    """Of the average of numbers, one a problem, by the bootstrap; None: all are alike, so drawing anew says nothing."""
    return bootstrap_interval(values) if len(set(values)) > 1 else None


def _of_shares(values: Sequence[float]) -> Interval | None:
    """Of an average of numbers from 0 to 1: Wilson's where every problem came out 0 or 1, as with one answer each."""
    if values and all(value in (0.0, 1.0) for value in values):
        return wilson_interval(round(sum(values)), len(values))
    return over_problems(values)


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
        return _EVALUATION.validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{path}: this is not an evaluation; remove it or restore the file") from error


def read_evaluations(folder: Path) -> dict[str, Evaluation]:
    """Every evaluation of a run by name; none if there is no folder."""
    evaluations = [read_evaluation(path) for path in sorted(folder.glob("*.json"))]
    return {evaluation.name: evaluation for evaluation in evaluations}


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
