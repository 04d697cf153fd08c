"""Saving a model so that plain transformers loads it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch

from verifine.models.load import LanguageModel
from verifine.models.lora import has_adapters, merged_weights, save_adapter
from verifine.models.quiet import no_progress_bars


def save_model(model: LanguageModel, folder: Path) -> None:
    """Writes weights, configuration, tokenizer and chat template; the folder appears when it is complete.

    The weights are saved in float32, as they were trained: an update of the size that reinforcement learning makes is
    often smaller than bfloat16 can express, and rounding would undo part of it. LoRA adapters are merged into what is
    saved, not into the network, and are written beside it as well, under `adapter/`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = folder.parent / f".{folder.name}.{os.getpid()}"
    replaced = folder.parent / f".{folder.name}.{os.getpid()}.replaced"
    model.network.config.dtype = torch.float32
    try:
        with no_progress_bars():
            model.network.save_pretrained(scratch, state_dict=merged_weights(model.network))
        if has_adapters(model.network):
            save_adapter(model.network, scratch / "adapter")
        model.tokenizer.save_pretrained(scratch)
        if folder.exists():
            folder.rename(replaced)
        scratch.rename(folder)
    finally:
        for leftover in (scratch, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
