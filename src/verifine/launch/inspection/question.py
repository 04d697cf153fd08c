"""Questions about a run before it begins, and their answers. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.config import RunConfig
from verifine.config.resolve import DataFacts, MachineFacts, ModelFacts
from verifine.runs.evaluations import EvaluatedProblem

INSPECTOR = "verifine.launch.inspection.inspector"
"""The module that answers, on standard input and output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookQuestion:
    """What the rows are like, and some of them as the model reads them. No weight is read."""

    kind: Literal["look"] = "look"
    config: RunConfig
    first: int
    """The place of the first row that is shown, from 0 among those to train on."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialQuestion:
    """What the model answers before it has learned anything, and how that is graded."""

    kind: Literal["trial"] = "trial"
    config: RunConfig
    rows: tuple[int, ...]
    """Their places among those to train on."""
    samples: int
    """Answers to each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckQuestion:
    """What `verifine check` says: is training worth starting, does it fit, and how long will it take?"""

    kind: Literal["check"] = "check"
    config: RunConfig
    rows: int
    """Prompts to ask the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRow:
    """A row as the model reads it."""

    label: str
    """Where it is, such as `train.jsonl line 3`."""
    text: str
    """With all special tokens, up to the start of the answer; empty if the chat template refuses it."""
    tokens: int
    item: dict[str, JsonValue]
    problem: str | None
    """Why training would refuse it; None: it would not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenCounts:
    """Of the prompts to train on, in tokens."""

    longest: int
    median: float
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was found."""

    train: int
    held_out: int
    rows: tuple[ShownRow, ...]
    prompts: TokenCounts
    refused: int
    """Rows that training would refuse."""
    problems: tuple[str, ...]
    """Why, of the first of them."""
    model: ModelFacts
    machine: MachineFacts
    data: DataFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What was answered."""

    problems: tuple[EvaluatedProblem, ...]
    seconds: float
    """For sampling and grading, without loading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionReply:
    """One of these is given."""

    problem: str | None = None
    """Why there is no answer: a row, the model or the grader cannot be used."""
    look: Look | None = None
    trial: Trial | None = None
    check: Mapping[str, JsonValue] | None = None
    """As `preflight.numbers.to_numbers`."""


Question = LookQuestion | TrialQuestion | CheckQuestion
QUESTION: TypeAdapter[Question] = TypeAdapter(Question)
REPLY = TypeAdapter(InspectionReply)
