"""What the three verbs of `grade` have in common: the grader that was asked for, what it may use, and the grading."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import track

from verifine.cli.options import warn_of
from verifine.config import AnyGrader, GradingConfig, ServiceConfig
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import ConfigError, GraderError
from verifine.graders import Grader, Services, build_grader, grade_samples
from verifine.graders.sandbox.call import Level
from verifine.types import Grade, Json, Sample

BATCH = 256
"""Answers that are graded between two moves of the progress bar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a grader may work with, as the command line says it."""

    judge_url: str | None
    judge_key_env: str | None
    is_unsafe: bool

    def services(self, grading: GradingConfig | None = None) -> Services:
        """With what `grading` says where the command line says nothing; warns where code will not be held."""
        grading = grading or GradingConfig()
        warn_of(self.is_unsafe)
        if self.judge_url is not None:
            grading = grading.model_copy(update={"judge": self._judge(self.judge_url)})
        elif self.judge_key_env is not None:
            raise ConfigError("--judge-key-env: there is no --judge-url that the key is for; give both")
        return Services(grading=grading, environment=dict(os.environ), level=Level.UNSAFE if self.is_unsafe else None)

    def _judge(self, url: str) -> ServiceConfig:
        try:
            return ServiceConfig(base_url=url, api_key_env=self.judge_key_env)
        except ValidationError as error:
            raise ConfigError(
                f'--judge-url: "{url}" is no address; write it up to /v1, such as http://127.0.0.1:8000/v1'
            ) from error


@contextmanager
def open_grader(config: AnyGrader, services: Services, name: str) -> Iterator[Grader]:
    """The grader, closed at the end.

    Raises:
        GraderError: it cannot be used; the message begins with `name`, what the user called it.
    """
    try:
        grader = build_grader(config, services)
    except GraderError as error:
        raise GraderError(f"{name}: {error}") from error
    try:
        yield grader
    finally:
        grader.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """Grades in the order of their samples."""

    grades: tuple[Grade, ...]
    seconds: float
    """For all of them together."""


def grade_all(grader: Grader, samples: Sequence[Sample]) -> Graded:
    """Grades everything, with a progress bar where somebody waits and watches."""
    starts = range(0, len(samples), BATCH)
    console = Console(stderr=True)
    is_silent = len(starts) < 2 or not console.is_terminal
    grades: list[Grade] = []
    seconds = 0.0
    for start in track(starts, "grading", console=console, transient=True, disable=is_silent):
        started = time.perf_counter()
        grades += grade_samples(grader, samples[start : start + BATCH])
        seconds += time.perf_counter() - started
    return Graded(grades=tuple(grades), seconds=seconds)


def explain(grade: Grade) -> str | None:
    """Why an answer was not graded as it should be, in a line; None: it was."""
    if grade.score is None:
        return f"verifine: unscorable: {grade.reason}"
    return f"verifine: scored {grade.score:g}: {grade.reason}" if grade.faults else None


def read_text(value: str, option: str) -> str:
    """The text itself, or with `@FILE` what stands in the file; `@@` begins a text that begins with `@`.

    Raises:
        ConfigError: there is no such file, or it is not UTF-8.
    """
    if not value.startswith("@") or value.startswith("@@"):
        return value[1:] if value.startswith("@@") else value
    path = Path(value[1:])
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option}: {path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{option}: {path} cannot be read ({reason}); give a file that can, or write @@ for a text that begins "
            "with @"
        ) from error


def read_item(value: str) -> dict[str, Json]:
    """The row of `--item`.

    Raises:
        ConfigError: it is no JSON object.
    """
    text = read_text(value, "--item")
    try:
        item = parse_json(text)
    except JsonError as error:
        place = "" if error.line is None else f" (line {error.line} column {error.column})"
        raise ConfigError(f"--item: not JSON: {error}{place}; {_ITEM_FORM}") from error
    if not isinstance(item, dict):
        raise ConfigError(f"--item: not an object; {_ITEM_FORM}")
    return item


_ITEM_FORM = 'write an object such as \'{"gt_answer": "12"}\', or @FILE with one in it'


def to_json(value: object) -> str:
    """For people where they look at a terminal, else in one line."""
    return json.dumps(value, indent=2 if sys.stdout.isatty() else None, allow_nan=False)
