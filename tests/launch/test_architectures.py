"""A whole run of every architecture, full and with adapters, with the canary after every update."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from verifine import train
from verifine.testing import EVERY_ARCHITECTURE, save_tiny_model
from verifine.testing.sessions import grade, tiny_run
from verifine.testing.tiny_configs import Architecture

MODES: Mapping[str, dict[str, Any]] = {"full": {}, "lora": {"lora": {"rank": 4}}}


@pytest.mark.parametrize(
    ("architecture", "mode"),
    [
        # A mixture of experts is what differs most.
        pytest.param(name, mode, marks=[] if (name, mode) == ("qwen3-moe", "full") else pytest.mark.slow)
        for name in EVERY_ARCHITECTURE
        for mode in MODES
    ],
)
def test_a_run_samples_from_what_it_learns_and_saves_what_it_has_learned(
    architecture: Architecture, mode: str, tmp_path: Path
) -> None:
    base = save_tiny_model(tmp_path / "base", architecture)
    config = tiny_run(tmp_path, base, model=MODES[mode])
    run = train(config, grader=grade)
    rows = [json.loads(line) for line in run.directory.metrics.read_text().splitlines()]
    assert [row["mismatch/max"] < 1e-3 for row in rows] == [True] * 3
    before, after = (
        AutoModelForCausalLM.from_pretrained(folder).state_dict() for folder in (base, run.directory.path / "model")
    )
    assert before.keys() == after.keys()
    assert not all(torch.equal(tensor, before[name]) for name, tensor in after.items())
