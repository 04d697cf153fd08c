"""Verifine: open reinforcement fine-tuning.

from verifine import RunConfig, train

run = train(RunConfig(data={"task": "largest"}, run={"steps": None, "minutes": 5}))
print(run.summary.final.answer_accuracy, run.directory.model)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verifine.config import RunConfig
    from verifine.errors import VerifineError
    from verifine.graders import Grader
    from verifine.launch.options import LaunchOptions
    from verifine.launch.session import TrainedRun, resume, train
    from verifine.types import Grade, Sample

__all__ = ["Grade", "Grader", "LaunchOptions", "RunConfig", "Sample", "TrainedRun", "VerifineError", "resume", "train"]
__version__ = "0.1.0"

_HOMES = {
    "Grade": "verifine.types",
    "Grader": "verifine.graders",
    "LaunchOptions": "verifine.launch.options",
    "RunConfig": "verifine.config",
    "Sample": "verifine.types",
    "TrainedRun": "verifine.launch.session",
    "VerifineError": "verifine.errors",
    "resume": "verifine.launch.session",
    "train": "verifine.launch.session",
}


def __getattr__(name: str) -> object:
    # Imported on first use: `verifine --help` needs none of them, and TrainedRun needs torch.
    if name not in _HOMES:
        raise AttributeError(f"module 'verifine' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
