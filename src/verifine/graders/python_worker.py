"""The child process of a Python grader: loads the user's source, then answers one JSON line for each JSON line.

Run as a script by `python -I`, so it imports nothing of Verifine. Each request carries an `id`, which its answer
repeats, and `timeout_s`. The first has the `source`; the others have `sample` and `item`. An answer has `score`,
or `error`; the answer to the first has neither where all is well.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable
from numbers import Real
from types import ModuleType
from typing import IO, Any

GRACE_S = 10.0
"""The parent kills a late worker at its deadline. If the parent is gone, the worker's alarm does, this much later."""

MAX_ERROR_CHARACTERS = 500
SOURCE_NAME = "<grader>"

GradeFunction = Callable[[Any, Any], object]


def main() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    requests, answers = _take_over_pipes()
    grade: GradeFunction | None = None
    for line in requests:
        request = json.loads(line)
        answer: dict[str, Any] = {"id": request["id"]}
        signal.setitimer(signal.ITIMER_REAL, request["timeout_s"] + GRACE_S)
        try:
            if grade is None:
                grade = _load(request["source"])
            else:
                answer["score"] = _score(grade(request["sample"], request["item"]))
        except BaseException as error:  # noqa: BLE001 - foreign code: sys.exit too must become an answer
            answer["error"] = _describe(error)[:MAX_ERROR_CHARACTERS]
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()
    os._exit(0)  # at once: threads that the user's code started must not keep the process alive


def _take_over_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The protocol's pipes, out of reach of what the user's code reads and prints."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _load(source: str) -> GradeFunction:
    # A module of its own in sys.modules: dataclasses and pickle look their classes up there.
    module = ModuleType("grader")
    sys.modules["grader"] = module
    exec(compile(source, SOURCE_NAME, "exec"), module.__dict__)  # noqa: S102 - running it is what it is here for
    grade = module.__dict__.get("grade")
    if not callable(grade):
        raise TypeError("no function `grade` is defined; add `def grade(sample, item): ...`")
    try:
        inspect.signature(grade).bind({}, {})
    except TypeError:
        raise TypeError(f"`grade{inspect.signature(grade)}` cannot be called as `grade(sample, item)`") from None
    function: GradeFunction = grade
    return function


def _score(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"grade returned {type(value).__name__}, not a number; return a float such as 1.0")
    try:
        score = float(value)
    except OverflowError:
        raise ValueError("grade returned a number that is too large") from None
    if not math.isfinite(score):
        raise ValueError(f"grade returned {score}, which is not finite")
    return score


def _describe(error: BaseException) -> str:
    """The last line of the traceback, and the line of the source it comes from."""
    last = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError) and error.filename == SOURCE_NAME:
        return f"line {error.lineno}: {last}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == SOURCE_NAME]
    return f"line {lines[-1]}: {last}" if lines else last


if __name__ == "__main__":
    main()
