"""How much memory is available where a model is trained."""

from __future__ import annotations

import torch

from verifine.config.memory import AvailableMemory
from verifine.machine.memory import read_memory


def available_memory(device: torch.device | None = None) -> AvailableMemory:
    """The memory of `device`; None: of the device that this machine trains on."""
    if torch.cuda.is_available() if device is None else device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return AvailableMemory(
            place=f"memory of {torch.cuda.get_device_name(device)}",
            size=free + torch.cuda.memory_reserved(device),
            is_main=False,
        )
    return AvailableMemory(place="memory", size=read_memory().free, is_main=True)
