"""Reading datasets into examples, drawing and holding them out, and summarising them."""

from __future__ import annotations

from verifine.data.examples import Examples
from verifine.data.problems import Problems
from verifine.data.read import read_examples
from verifine.data.sampler import Draw, PromptSampler
from verifine.data.split import hold_out
from verifine.data.summary import DataSummary, summarize_data

__all__ = [
    "DataSummary",
    "Draw",
    "Examples",
    "Problems",
    "PromptSampler",
    "hold_out",
    "read_examples",
    "summarize_data",
]
