"""The schema of graders: OpenAI's forms, and our extensions in the same style.

A grader is chosen in the configuration, so its schema stands here, below the room that executes it
(`verifine.graders`).
"""

from __future__ import annotations

from verifine.config.graders.combined import (
    AnyGrader,
    GraderConfig,
    MultiGrader,
    SingleGrader,
    WeightedGrader,
    judges_format,
    passing_score,
)
from verifine.config.graders.extensions import (
    AnswerGrader,
    ChoiceGrader,
    CodeGrader,
    EndpointGrader,
    FormatGrader,
    JsonSchemaGrader,
    MathGrader,
    NumberGrader,
)
from verifine.config.graders.openai import (
    JudgeMessage,
    JudgeSampling,
    LabelModelGrader,
    PythonGrader,
    ScoreModelGrader,
    StringCheckGrader,
    TextSimilarityGrader,
)
from verifine.config.graders.presets import GRADER_PRESETS, REWARD_TYPES, RewardType
from verifine.config.graders.schema import Schema

__all__ = [
    "GRADER_PRESETS",
    "REWARD_TYPES",
    "AnswerGrader",
    "AnyGrader",
    "ChoiceGrader",
    "CodeGrader",
    "EndpointGrader",
    "FormatGrader",
    "GraderConfig",
    "JsonSchemaGrader",
    "JudgeMessage",
    "JudgeSampling",
    "LabelModelGrader",
    "MathGrader",
    "MultiGrader",
    "NumberGrader",
    "PythonGrader",
    "RewardType",
    "Schema",
    "ScoreModelGrader",
    "SingleGrader",
    "StringCheckGrader",
    "TextSimilarityGrader",
    "WeightedGrader",
    "judges_format",
    "passing_score",
]
