"""Reads the files of a job and builds its grader, in a process of its own that may be killed: `python -m` this module.

A question comes in on standard input and an answer goes out on standard output, both JSON.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from verifine.config.graders import GraderConfig
from verifine.data import hold_out, read_examples
from verifine.errors import DataError, GraderError, VerifineError
from verifine.graders.build import build_grader

LONGEST_S = 600.0


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


_QUESTION, _ANSWER = TypeAdapter(FileQuestion), TypeAdapter(FileAnswer)


def ask_child(question: FileQuestion, timeout_s: float = LONGEST_S) -> FileAnswer:
    """Asks a new process.

    Raises:
        VerifineError: it failed, or took too long.
    """
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(command, input=_QUESTION.dump_json(question), capture_output=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise VerifineError(f"reading the files took longer than {timeout_s:g} s; make them smaller") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise VerifineError(f"reading the files failed: {said[-1] if said else f'exit code {done.returncode}'}")
    return _ANSWER.validate_json(done.stdout)


def check_files(question: FileQuestion) -> FileAnswer:
    """Reads every row."""
    try:
        train = read_examples(question.train, question.columns, question.system_prompt)
    except DataError as error:
        return FileAnswer(param="training_file", message=str(error))
    rows = len(train)
    if question.eval is None:
        rows = len(hold_out(train.fingerprints, question.seed, question.eval_size)[0])
    else:
        try:
            read_examples(question.eval, question.columns, question.system_prompt)
        except DataError as error:
            return FileAnswer(param="validation_file", message=str(error))
    try:
        build_grader(question.grader).close()
    except GraderError as error:
        return FileAnswer(param="method.reinforcement.grader", message=str(error))
    return FileAnswer(rows=rows)


if __name__ == "__main__":
    sys.stdout.buffer.write(_ANSWER.dump_json(check_files(_QUESTION.validate_json(sys.stdin.buffer.read()))))
