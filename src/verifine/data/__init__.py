"""Reading datasets into examples, drawing and holding them out, and summarising them."""

from __future__ import annotations

from verifine.data.examples import Examples
from verifine.data.history import PromptCounts, PromptHistory, asking_chance
from verifine.data.problems import Problems
from verifine.data.read import read_examples
from verifine.data.sampler import Draw, PromptSampler, Selection
from verifine.data.split import hold_out
from verifine.data.summary import DataSummary, summarize_data

__all__ = [
    "DataSummary",
    "Draw",
    "Examples",
    "Problems",
    "PromptCounts",
    "PromptHistory",
    "PromptSampler",
    "Selection",
    "asking_chance",
    "hold_out",
    "read_examples",
    "summarize_data",
]
