"""The toy that comes with Verifine: it learns in a few steps, through the same path as every other model."""

from __future__ import annotations

from pathlib import Path

import pytest

from verifine import train
from verifine.config import build_config
from verifine.launch.quickstart import quickstart_settings

STEPS = 12


@pytest.mark.slow
@pytest.mark.parametrize("task", ["largest", "add"])
def test_the_settings_of_the_quickstart_teach_it_in_a_few_steps(task: str, tmp_path: Path) -> None:
    settings = quickstart_settings(task, "pico")
    settings["run"] = {"steps": STEPS, "directory": tmp_path / "run"}
    settings["model"]["precision"] = "float32"  # auto measures for a third of a second
    run = train(build_config(settings), check=False)
    assert run.summary.baseline is not None
    assert run.summary.final is not None
    before, after = run.summary.baseline.answer_accuracy, run.summary.final.answer_accuracy
    assert before is not None
    assert after is not None
    assert 0.1 < before < 0.6
    assert after > before + 0.2
