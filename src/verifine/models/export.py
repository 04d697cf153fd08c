"""Saving a model so that plain transformers loads it."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError

from verifine.errors import DiskError
from verifine.machine.disk import LOCAL_DISK, Disk, draft_of, put_in_place, refuse_failure
from verifine.models.load import LanguageModel
from verifine.models.network.lora import has_adapters, merged_weights, save_adapter
from verifine.models.quiet import no_progress_bars


def save_model(model: LanguageModel, folder: Path, disk: Disk = LOCAL_DISK) -> None:
    """Writes weights, configuration, tokenizer and chat template; the folder appears when it is complete.

    The weights are saved in float32, as they were trained: updates of reinforcement learning are often smaller than the
    resolution of bfloat16, and rounding would undo part of them. LoRA adapters are merged into the saved weights, not
    into the network, and are also saved on their own, under `adapter/`.

    Raises:
        DiskError: it cannot be written; what was there before is unchanged.
    """
    draft = draft_of(folder)
    disk.remove(draft)
    try:
        _write(model, draft)
        for path in sorted(draft.rglob("*")):
            disk.sync(path)
        put_in_place(draft, folder, disk)
    except DiskError:
        with suppress(DiskError):
            disk.remove(draft)
        raise


def _write(model: LanguageModel, folder: Path) -> None:
    model.network.config.dtype = torch.float32
    with refuse_failure(folder):
        folder.mkdir(parents=True)
        try:
            with no_progress_bars():
                model.network.save_pretrained(folder, state_dict=merged_weights(model.network))
            if has_adapters(model.network):
                save_adapter(model.network, folder / "adapter")
            model.tokenizer.save_pretrained(folder)
        except SafetensorError as error:
            is_full = os.strerror(errno.ENOSPC) in str(error)
            raise DiskError(f"{folder} cannot be written ({error}); free some space", is_full=is_full) from error
