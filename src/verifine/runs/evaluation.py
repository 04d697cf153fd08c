"""How a model does on held-out problems: `eval/baseline.json`, `eval/step-20.json`, `eval/final.json`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from verifine.errors import ConfigError
from verifine.runs.directory import write_bytes
from verifine.runs.jsonl import rows_to_bytes
from verifine.types import Json

Judgement = Literal["answer", "format"]

_Z_95 = 1.959963984540054
"""The normal quantile that leaves 2.5 % on either side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluatedSample:
    """One held-out problem, the answer it got, and its grade."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation found."""

    name: str
    """`baseline`, `final`, or `step-` and the number of training steps before it."""
    samples: tuple[EvaluatedSample, ...]

    @property
    def reward(self) -> float | None:
        """The average score; None: nothing could be scored."""
        return _mean([sample.score for sample in self.samples if sample.score is not None])

    @property
    def answer_accuracy(self) -> float | None:
        """The share of right answers; None: not judged."""
        return _mean(self._verdicts("answer"))

    @property
    def format_accuracy(self) -> float | None:
        """The share of answers in the right format; None: not judged."""
        return _mean(self._verdicts("format"))

    def numbers(self) -> dict[str, Json]:
        """What came out, for programs; null: not judged."""
        return {
            "answer_accuracy": self.answer_accuracy,
            "format_accuracy": self.format_accuracy,
            "reward": self.reward,
            "samples": len(self.samples),
        }

    def interval(self, judgement: Judgement = "answer") -> tuple[float, float] | None:
        """The 95 % interval of an accuracy; None: not judged."""
        verdicts = self._verdicts(judgement)
        return wilson_interval(sum(verdicts), len(verdicts)) if verdicts else None

    def _verdicts(self, judgement: Judgement) -> list[bool]:
        verdicts = (sample.answer_ok if judgement == "answer" else sample.format_ok for sample in self.samples)
        return [verdict for verdict in verdicts if verdict is not None]


_EVALUATION = TypeAdapter(Evaluation)


def wilson_interval(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval for a share of `n` trials (Wilson 1927).

    (p + z²/2n ± z √(p(1-p)/n + z²/4n²)) / (1 + z²/n): unlike p ± z √(p(1-p)/n) it is right near 0 and 1, and
    never leaves [0, 1].
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials")
    share, z = successes / n, _Z_95
    centre = share + z**2 / (2 * n)
    margin = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    return max(0.0, (centre - margin) / scale), min(1.0, (centre + margin) / scale)


def write_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    path = folder / f"{evaluation.name}.json"
    write_bytes(path, rows_to_bytes([asdict(evaluation)]))
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
