from __future__ import annotations

import pytest
import torch

from verifine.models.memory.available import available_memory


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for main memory")
def test_a_machine_without_an_accelerator_offers_its_main_memory() -> None:
    available = available_memory()
    assert (available.place, available.is_main) == ("memory", True)
    assert available.size > 1 << 26


def test_a_model_on_the_processor_has_main_memory_wherever_others_are_trained() -> None:
    assert available_memory(torch.device("cpu")).is_main


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_an_accelerator_offers_its_own() -> None:
    available = available_memory()
    assert not available.is_main
    assert 0 < available.size <= torch.cuda.get_device_properties(0).total_memory
