from __future__ import annotations

from typing import get_args

import pytest
import torch
import training_memory
from tests.apart import add_packages_apart
from training_memory import Manner, Mode

add_packages_apart()
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", get_args(Mode))
@pytest.mark.parametrize("manner", get_args(Manner))
def test_a_row_has_an_estimate_and_a_measurement(mode: Mode, manner: Manner) -> None:
    row = training_memory.measure("tiny", mode, "float32", manner, 1, torch.device("cpu"))
    assert (row.mode, row.manner) == (mode, manner)
    # A tiny model takes next to nothing: what is left is the program and the logits that are held at a time.
    assert 0.4 < row.estimated_gib < 1.2
    assert row.off_by == pytest.approx(row.estimated_gib / row.measured_gib - 1)


def test_adapters_and_one_answer_at_a_time_are_estimated_to_take_less() -> None:
    estimates = {
        (mode, manner): training_memory.measure("tiny", mode, "float32", manner, 1, torch.device("cpu")).estimated_gib
        for mode in get_args(Mode)
        for manner in get_args(Manner)
    }
    assert estimates["LoRA", "planned"] < estimates["full", "planned"]
    assert estimates["full", "least"] <= estimates["full", "planned"]
