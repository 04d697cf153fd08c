"""Scoring answers: the grader protocol, and how each kind of `verifine.config.graders` is executed."""

from __future__ import annotations

from verifine.graders.build import build_grader
from verifine.graders.files import load_grader_config
from verifine.graders.grader import CallableGrader, GradeFunction, Grader
from verifine.graders.sample import sample_fields
from verifine.graders.services import Services
from verifine.graders.template import render

__all__ = [
    "CallableGrader",
    "GradeFunction",
    "Grader",
    "Services",
    "build_grader",
    "load_grader_config",
    "render",
    "sample_fields",
]
