"""The configuration of a run: its schema, and how it is read and written."""

from __future__ import annotations

from verifine.config.algorithm import AlgorithmConfig, AlgorithmName, CriticConfig, RewardConfig
from verifine.config.graders import (
    GRADER_PRESETS,
    AnswerGrader,
    FormatGrader,
    GraderConfig,
    PythonGrader,
    StringCheckGrader,
    WeightedGrader,
)
from verifine.config.loading import build_config, dump_config, load_config
from verifine.config.run import (
    DataConfig,
    LoraConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    RunSection,
    SamplingConfig,
    TaskName,
)

__all__ = [
    "GRADER_PRESETS",
    "AlgorithmConfig",
    "AlgorithmName",
    "AnswerGrader",
    "CriticConfig",
    "DataConfig",
    "FormatGrader",
    "GraderConfig",
    "LoraConfig",
    "ModelConfig",
    "OptimConfig",
    "PythonGrader",
    "RewardConfig",
    "RunConfig",
    "RunSection",
    "SamplingConfig",
    "StringCheckGrader",
    "TaskName",
    "WeightedGrader",
    "build_config",
    "dump_config",
    "load_config",
]
