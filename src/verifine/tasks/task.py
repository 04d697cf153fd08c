"""A built-in task, and the numbered problems it is drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from verifine.config.graders import GraderConfig
from verifine.config.run import TaskName
from verifine.types import Example, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Problems to learn from, problems held out, and the grader for both."""

    name: TaskName
    grader: GraderConfig
    train: tuple[Example, ...]
    held_out: tuple[Example, ...]
    max_new_tokens: int
    """Enough for a right answer in the right format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskProblem:
    """One question and its right answer."""

    question: str
    answer: str
    fields: Mapping[str, Json] = field(default_factory=dict)
    """What the grader needs besides the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemSet:
    """All problems of a task, numbered, so that any one of them can be made without making the others."""

    system: str
    """The system message: how to answer."""
    shot_question: str
    shot_answer: str
    """What the one solved example in each prompt answers, inside its tags."""
    size: int
    problem: Callable[[int], TaskProblem]
    """The problem with a number from 0 to size - 1; each has another question."""
    grader: GraderConfig
    max_new_tokens: int
