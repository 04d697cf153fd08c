"""What is to be found out about the files of a job, by a process of its own that may be killed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.config.graders import GraderConfig
from verifine.service.child import ChildLimits, Children

CHECKER = "verifine.service.jobs.file_check"
LIMITS = ChildLimits(wall_s=600.0, memory_bytes=8 << 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileQuestion:
    """What is to be looked at."""

    train: Path
    eval: Path | None
    """None: rows of `train` are held out."""
    eval_size: int
    seed: int
    columns: Mapping[str, str]
    system_prompt: str | None
    grader: GraderConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAnswer:
    """What was found."""

    rows: int = 0
    """Rows to train on."""
    param: str | None = None
    """The field of the request that is wrong; None: none is."""
    message: str = ""
    """What is wrong."""


QUESTION, ANSWER = TypeAdapter(FileQuestion), TypeAdapter(FileAnswer)


def ask_child(children: Children, question: FileQuestion, limits: ChildLimits = LIMITS) -> FileAnswer:
    """Asks a new process.

    Raises:
        ChildError: it failed, or took too long.
    """
    return ANSWER.validate_json(children.ask(CHECKER, QUESTION.dump_json(question), limits))
