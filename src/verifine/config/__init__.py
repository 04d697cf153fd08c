"""The configuration of a run: its schema, and how it is read and written."""

from __future__ import annotations

from verifine.config.algorithm import AlgorithmConfig, CriticConfig, EntropyControlConfig, RewardConfig
from verifine.config.engine import EngineConfig, NativeEngineConfig
from verifine.config.evaluation import EvaluationConfig
from verifine.config.graders import GRADER_PRESETS, REWARD_TYPES, AnyGrader, GraderConfig
from verifine.config.grading import EmbedderConfig, GradingConfig, ServiceConfig
from verifine.config.loading import build_config, dump_changed_settings, dump_config, load_config
from verifine.config.run import (
    DataConfig,
    LoraConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    RunSection,
    TaskName,
)
from verifine.config.sampling import AllocationConfig, RoundsConfig, SamplingConfig, SkipConfig

__all__ = [
    "GRADER_PRESETS",
    "REWARD_TYPES",
    "AlgorithmConfig",
    "AllocationConfig",
    "AnyGrader",
    "CriticConfig",
    "DataConfig",
    "EmbedderConfig",
    "EngineConfig",
    "EntropyControlConfig",
    "EvaluationConfig",
    "GraderConfig",
    "GradingConfig",
    "LoraConfig",
    "ModelConfig",
    "NativeEngineConfig",
    "OptimConfig",
    "RewardConfig",
    "RoundsConfig",
    "RunConfig",
    "RunSection",
    "SamplingConfig",
    "ServiceConfig",
    "SkipConfig",
    "TaskName",
    "build_config",
    "dump_changed_settings",
    "dump_config",
    "load_config",
]
