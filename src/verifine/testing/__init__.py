"""Fakes, tiny models and oracles, shipped so that extensions of Verifine can be tested as Verifine is.

The tiny models are real architectures with random weights: they go through the same code as any model. `oracle` is the
mathematics of every algorithm once more, as plain loops.
"""

from __future__ import annotations

from verifine.testing.fakes import FakeLearner, ScriptedEngine
from verifine.testing.models import (
    CHAT_TEMPLATE,
    load_tiny_model,
    save_tiny_model,
    save_tiny_reasoning_model,
    tiny_tokenizer,
)
from verifine.testing.tiny_configs import ARCHITECTURES, EVERY_ARCHITECTURE, Architecture, tiny_config

__all__ = [
    "ARCHITECTURES",
    "CHAT_TEMPLATE",
    "EVERY_ARCHITECTURE",
    "Architecture",
    "FakeLearner",
    "ScriptedEngine",
    "load_tiny_model",
    "save_tiny_model",
    "save_tiny_reasoning_model",
    "tiny_config",
    "tiny_tokenizer",
]
