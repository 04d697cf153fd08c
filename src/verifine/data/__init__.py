"""JSONL in, examples out; which example comes when; which are held out."""

from __future__ import annotations

from verifine.data.jsonl import read_examples
from verifine.data.sampler import Draw, PromptSampler
from verifine.data.split import hold_out

__all__ = ["Draw", "PromptSampler", "hold_out", "read_examples"]
