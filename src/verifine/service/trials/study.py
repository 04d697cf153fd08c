"""Questions about data and graders that need no model, for a process of its own that may be killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import JsonValue, TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.config.graders import GraderConfig
from verifine.service.child import ChildLimits, Children

STUDYING = "verifine.service.trials.studying"
STUDY_LIMITS = ChildLimits(wall_s=300.0, memory_bytes=4 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetQuestion:
    """Whether a file can be trained on, and some of its rows."""

    kind: Literal["dataset"] = "dataset"
    path: Path
    columns: Mapping[str, str]
    system_prompt: str | None
    first: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbingQuestion:
    """What a grader gives the answers in rows, the right ones, and answers without work in them."""

    kind: Literal["probing"] = "probing"
    path: Path
    columns: Mapping[str, str]
    grader: GraderConfig
    answer_field: str | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegradingQuestion:
    """What another grader gives the saved answers of a run."""

    kind: Literal["regrading"] = "regrading"
    run: Path
    grader: GraderConfig | None
    """None: the run's own."""
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetRow:
    """A row as training has it."""

    label: str
    """Where it is, such as `line 3`."""
    messages: list[dict[str, JsonValue]]
    item: dict[str, JsonValue]
    """All other fields, for the grader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetStudy:
    """What a file holds."""

    rows: int
    fields: dict[str, int]
    """In how many rows each field of items is present and not null."""
    duplicates: int
    """Rows that repeat the question of an earlier one."""
    constant_reference: str | None
    """The right answer that all rows have in common, as JSON; None: they differ, or have none."""
    shown: list[DatasetRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedAnswer:
    """An answer and what the grader said."""

    label: str
    """The row it is to, or its place in the run."""
    probe: str
    """What kind of answer it is, such as `right answer` or `empty text`."""
    text: str
    score: float | None
    """None: it could not be scored; the reason says why."""
    reason: str | None
    parts: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderStudy:
    """What a grader does."""

    numbers: dict[str, JsonValue]
    """As `verifine grade test --json` prints them."""
    answers: list[GradedAnswer]
    """Empty where saved answers were graded: `numbers.agreement` has those that differ most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReply:
    """One of these is given."""

    problem: str | None = None
    """What a user has to fix; None: nothing."""
    dataset: DatasetStudy | None = None
    grader: GraderStudy | None = None


StudyQuestion = DatasetQuestion | ProbingQuestion | RegradingQuestion
STUDY: TypeAdapter[StudyQuestion] = TypeAdapter(StudyQuestion)
STUDY_REPLY = TypeAdapter(StudyReply)


def study_in_child(children: Children, question: StudyQuestion, limits: ChildLimits = STUDY_LIMITS) -> StudyReply:
    """Asks a new process.

    Raises:
        ChildError: it failed, or took too long.
    """
    return STUDY_REPLY.validate_json(children.ask(STUDYING, STUDY.dump_json(question), limits))
