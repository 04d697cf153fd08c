"""The command-line options of the `grade` verbs, and their progress bar."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress as RichProgress

from verifine.cli.options import warn_of
from verifine.config import GradingConfig, ServiceConfig, build_config
from verifine.data.strict_json import JsonError, parse_json
from verifine.errors import ConfigError
from verifine.graders import Services
from verifine.graders.sandbox.call import Level
from verifine.launch.grader_report import Progress
from verifine.types import Grade, Json


def build_services(judge_url: str | None, judge_key_env: str | None, unsafe_grader_exec: bool) -> Services:
    """The services that the grader may use; warns if code runs outside the sandbox."""
    warn_of(unsafe_grader_exec)
    if judge_url is None and judge_key_env is not None:
        raise ConfigError("--judge-key-env: the key needs a --judge-url; give both")
    judge = None if judge_url is None else _judge(judge_url, judge_key_env)
    level = Level.UNSAFE if unsafe_grader_exec else None
    return Services(grading=GradingConfig(judge=judge), environment=dict(os.environ), level=level)


def _judge(url: str, key_env: str | None) -> ServiceConfig:
    try:
        return ServiceConfig(base_url=url, api_key_env=key_env)
    except ValidationError as error:
        raise ConfigError(
            f'--judge-url: "{url}" is not an address; write it up to /v1, such as http://127.0.0.1:8000/v1'
        ) from error


def check_plot(path: Path | None) -> None:
    """ConfigError if an image cannot be written there."""
    if path is not None and path.suffix.lower() != ".png":
        raise ConfigError(f"--plot: {path} must end in .png, since it is written as a PNG image")
    if path is not None and path.is_dir():
        raise ConfigError(f"--plot: {path} is a folder; give the name of a file in it")


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress bar, shown only on a terminal."""
    console = Console(stderr=True)
    with RichProgress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("grading", total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=done < total)


def explain_grade(grade: Grade) -> str | None:
    """Why an answer could not be graded properly, in a line; None: it could."""
    if grade.score is None:
        return f"verifine: unscorable: {grade.reason}"
    return f"verifine: scored {grade.score:g}: {grade.reason}" if grade.faults else None


def read_text(value: str, option: str) -> str:
    """The text itself, or with `@FILE` the content of the file; `@@` is for a text that begins with `@`.

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
        ConfigError: it is not a JSON object.
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


_ITEM_FORM = 'write an object such as \'{"gt_answer": "12"}\', or @FILE to read it from a file'


def to_json(value: object) -> str:
    """Indented on a terminal, else in one line."""
    return json.dumps(value, indent=2 if sys.stdout.isatty() else None, allow_nan=False)


def read_columns(pairs: list[str] | None) -> Mapping[str, str]:
    """The columns of `--column FIELD=COLUMN`, which follow the rules of `data.columns`.

    Raises:
        ConfigError: one of them is not such a pair.
    """
    columns: dict[str, str] = {}
    for pair in pairs or ():
        field, equals, column = pair.partition("=")
        if not equals:
            raise ConfigError(
                f'--column: "{pair}" is not a pair; write our field and the column, such as prompt=question or '
                "gt_answer=reward_model.ground_truth"
            )
        columns[field] = column
    return build_config({"data": {"train": "rows", "columns": columns}}).data.columns
