"""LoRA adapters in peft's form, with the tokenizer and chat template that they were trained with."""

from __future__ import annotations

from pathlib import Path

from verifine.errors import ModelError
from verifine.machine.disk import Disk
from verifine.models.forms.files import (
    ADAPTER_FOLDER,
    copy_file,
    is_of_tokenizer,
    model_files,
    read_json,
    write_settings,
)

_CONFIG = "adapter_config.json"


def has_adapter(source: Path) -> bool:
    """Whether the model that a run has saved in `source` was trained with adapters."""
    return (source / ADAPTER_FOLDER / _CONFIG).is_file()


def write_adapter(
    source: Path,
    folder: Path,
    disk: Disk,
    *,
    base: str | None,
    revision: str | None = None,
    without: tuple[str, ...] = (),
) -> None:
    """Copies the adapters of the model that a run has saved in `source`.

    Args:
        source: The model's folder.
        folder: Where to.
        disk: What is written with.
        base: What peft is told to load them on; None: what the run was told, a folder of this machine.
        revision: Of `base` on the hub.
        without: Files of `source` that are left out.

    Raises:
        DiskError: it cannot be written.
        ModelError: there are no adapters.
    """
    if not has_adapter(source):
        raise ModelError(
            f"{source} has no adapters: the run trained all weights. Export it as merged or gguf, or train with "
            "model.lora."
        )
    for path in model_files(source / ADAPTER_FOLDER):
        if path.name != _CONFIG:
            copy_file(path, folder / path.name, disk)
    for path in filter(is_of_tokenizer, model_files(source, without)):
        copy_file(path, folder / path.name, disk)
    settings = read_json(source / ADAPTER_FOLDER / _CONFIG)
    named = {} if base is None else {"base_model_name_or_path": base, "revision": revision}
    write_settings(folder / _CONFIG, settings | named, disk)
