"""From a grader's configuration to the grader."""

from __future__ import annotations

from typing import assert_never

from verifine.config.graders import AnswerGrader, FormatGrader, GraderConfig, PythonGrader, StringCheckGrader
from verifine.graders.answer import AnswerCheck
from verifine.graders.format import FormatCheck
from verifine.graders.grader import Grader
from verifine.graders.python_source import PythonSource
from verifine.graders.string_check import StringCheck


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
        case _:
            assert_never(config)
