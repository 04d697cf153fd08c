"""The configuration of a run: its schema, and how it is read and written."""

from __future__ import annotations

from verifine.config.graders import (
    GRADER_PRESETS,
    AnswerGrader,
    FormatGrader,
    GraderConfig,
    PythonGrader,
    StringCheckGrader,
)
from verifine.config.loading import build_config, dump_config, load_config
from verifine.config.run import (
    AlgorithmConfig,
    AlgorithmName,
    DataConfig,
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
    "DataConfig",
    "FormatGrader",
    "GraderConfig",
    "ModelConfig",
    "OptimConfig",
    "PythonGrader",
    "RunConfig",
    "RunSection",
    "SamplingConfig",
    "StringCheckGrader",
    "TaskName",
    "build_config",
    "dump_config",
    "load_config",
]
