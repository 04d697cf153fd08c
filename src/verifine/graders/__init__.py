"""Scoring answers: the grader protocol, and the runtime of each grader type of `verifine.config.graders`."""

from __future__ import annotations

from verifine.graders.build import build_grader
from verifine.graders.callable import GradeFunction, callable_grader
from verifine.graders.files import load_grader_config
from verifine.graders.grader import Grader, grade_samples
from verifine.graders.sample import sample_fields
from verifine.graders.services import Services
from verifine.graders.template import render

__all__ = [
    "GradeFunction",
    "Grader",
    "Services",
    "build_grader",
    "callable_grader",
    "grade_samples",
    "load_grader_config",
    "render",
    "sample_fields",
]
