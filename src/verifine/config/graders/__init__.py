"""The schema of graders: OpenAI's forms, and our extensions in the same style.

A grader is chosen in the configuration, so its schema stands here, below the room that executes it
(`verifine.graders`).
"""

from __future__ import annotations

from verifine.config.graders.combined import (
    AnyGrader,
    GraderConfig,
    MultiGraderConfig,
    SingleGrader,
    WeightedGraderConfig,
    judges_format,
    passing_score,
)
from verifine.config.graders.extensions import (
    AnswerGraderConfig,
    ChoiceGraderConfig,
    CodeGraderConfig,
    EndpointGraderConfig,
    FormatGraderConfig,
    JsonSchemaGraderConfig,
    MathGraderConfig,
    NumberGraderConfig,
)
from verifine.config.graders.openai import (
    JudgeMessage,
    JudgeSampling,
    LabelModelGraderConfig,
    PythonGraderConfig,
    ScoreModelGraderConfig,
    StringCheckGraderConfig,
    TextSimilarityGraderConfig,
)
from verifine.config.graders.presets import GRADER_PRESETS, REWARD_TYPES, RewardType
from verifine.config.graders.schema import Schema

__all__ = [
    "GRADER_PRESETS",
    "REWARD_TYPES",
    "AnswerGraderConfig",
    "AnyGrader",
    "ChoiceGraderConfig",
    "CodeGraderConfig",
    "EndpointGraderConfig",
    "FormatGraderConfig",
    "GraderConfig",
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
    "judges_format",
    "passing_score",
]
