"""From a grader's configuration to the grader."""

from __future__ import annotations

from contextlib import ExitStack
from typing import assert_never

from verifine.config.graders import (
    AnswerGrader,
    FormatGrader,
    GraderConfig,
    PythonGrader,
    StringCheckGrader,
    WeightedGrader,
)
from verifine.errors import GraderError
from verifine.graders.answer import AnswerCheck
from verifine.graders.format import FormatCheck
from verifine.graders.grader import Grader
from verifine.graders.python_source import PythonSource
from verifine.graders.string_check import StringCheck
from verifine.graders.weighted import Part, WeightedSum


def build_grader(config: GraderConfig) -> Grader:
    """The grader, ready to use; its owner closes it.

    Raises:
        GraderError: it cannot be used: a template or the Python source is broken.
    """
    match config:
        case StringCheckGrader():
            return StringCheck(config)
        case PythonGrader():
            return PythonSource(config)
        case AnswerGrader():
            return AnswerCheck(config)
        case FormatGrader():
            return FormatCheck(config)
        case WeightedGrader():
            return _build_weighted(config)
        case _:
            assert_never(config)


def _build_weighted(config: WeightedGrader) -> WeightedSum:
    with ExitStack() as built:  # what was built is closed if the next one cannot be
        parts = []
        for name, inner in config.graders.items():
            try:
                grader = build_grader(inner)
            except GraderError as error:
                raise GraderError(f"graders.{name}: {error}") from error
            built.callback(grader.close)
            parts.append(Part(name=name, weight=config.weights[name], grader=grader))
        built.pop_all()
    return WeightedSum(parts)
