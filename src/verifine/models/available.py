"""How much memory there is where a model is trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from verifine.machine.memory import read_memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """A memory, and what this process can have of it."""

    place: str
    """`memory`, or which accelerator's."""
    size: int
    """In bytes, what the process holds already included."""
    is_main: bool
    """Whether the program itself lies there too."""


def available_memory(device: torch.device | None = None) -> Available:
    """That of `device`; None: where a model is trained on this machine."""
    if torch.cuda.is_available() if device is None else device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return Available(
            place=f"memory of {torch.cuda.get_device_name(device)}",
            size=free + torch.cuda.memory_reserved(device),
            is_main=False,
        )
    return Available(place="memory", size=read_memory().free, is_main=True)
