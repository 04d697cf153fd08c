"""The schema of graders: OpenAI's forms, and our extensions in the same style.

The configuration chooses a grader, so its schema stands here, below the package that executes it
(`verifine.graders`). Each type has one module here and one of the same name there.
"""

from __future__ import annotations

from verifine.config.graders.answer import AnswerGraderConfig
from verifine.config.graders.choice import ChoiceGraderConfig
from verifine.config.graders.code import CodeGraderConfig
from verifine.config.graders.endpoint import EndpointGraderConfig
from verifine.config.graders.format import FormatGraderConfig
from verifine.config.graders.json_schema import JsonSchemaGraderConfig
from verifine.config.graders.judge_input import JudgeMessage, JudgeSampling
from verifine.config.graders.label_model import LabelModelGraderConfig
from verifine.config.graders.math import MathGraderConfig
from verifine.config.graders.multi import MultiGraderConfig
from verifine.config.graders.number import NumberGraderConfig
from verifine.config.graders.presets import GRADER_PRESETS, REWARD_TYPES, RewardType
from verifine.config.graders.python import PythonGraderConfig
from verifine.config.graders.schema import Schema
from verifine.config.graders.score_model import ScoreModelGraderConfig
from verifine.config.graders.single import FORMAT_JUDGES, SingleGrader
from verifine.config.graders.string_check import StringCheckGraderConfig
from verifine.config.graders.text_similarity import TextSimilarityGraderConfig
from verifine.config.graders.traits import CALLABLE_TRAITS, GraderTraits
from verifine.config.graders.union import AnyGrader, GraderConfig
from verifine.config.graders.weighted import WeightedGraderConfig

__all__ = [
    "CALLABLE_TRAITS",
    "FORMAT_JUDGES",
    "GRADER_PRESETS",
    "REWARD_TYPES",
    "AnswerGraderConfig",
    "AnyGrader",
    "ChoiceGraderConfig",
    "CodeGraderConfig",
    "EndpointGraderConfig",
    "FormatGraderConfig",
    "GraderConfig",
    "GraderTraits",
    "JsonSchemaGraderConfig",
    "JudgeMessage",
    "JudgeSampling",
    "LabelModelGraderConfig",
    "MathGraderConfig",
    "MultiGraderConfig",
    "NumberGraderConfig",
    "PythonGraderConfig",
    "RewardType",
    "Schema",
    "ScoreModelGraderConfig",
    "SingleGrader",
    "StringCheckGraderConfig",
    "TextSimilarityGraderConfig",
    "WeightedGraderConfig",
]
