"""What the folders of checkpoints are called."""

from __future__ import annotations

import re
from pathlib import Path

_NAME = re.compile(r"step-([0-9]{6,})")


def checkpoint_folder(folder: Path, step: int) -> Path:
    """That of the checkpoint of a step, among those in `folder`."""
    return folder / f"step-{step:06d}"


def find_checkpoint_steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, in ascending order, damaged ones included; none if there is no folder."""
    if not folder.is_dir():
        return []
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(name[1]) for name in names if name)
