from __future__ import annotations

from pathlib import Path

import pytest

from verifine import resume, train
from verifine.errors import ConfigError
from verifine.runs.status import Status
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, hash_final_model, tiny_run


@pytest.mark.slow
def test_a_run_that_its_budget_paused_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    straight = train(tiny_run(tmp_path / "straight", model), grader=grade, check=False)
    paused = train(tiny_run(tmp_path / "paused", model, run={"max_steps": 1}), grader=grade, check=False)
    assert (paused.summary.ending, paused.summary.reason) == (Status.PAUSED, "max_steps")
    for too_little in (None, 1):
        with pytest.raises(ConfigError, match="its max_steps of 1; give it more, .*--max-steps 2"):
            resume(paused.directory.path, grader=grade, max_steps=too_little)
    again = resume(paused.directory.path, grader=grade, max_steps=2)
    assert (again.summary.ending, again.summary.progress.step) == (Status.PAUSED, 2)
    assert resume(paused.directory.path, grader=grade, max_steps=9).summary.ending is Status.FINISHED
    assert hash_final_model(paused.directory.path) == hash_final_model(straight.directory.path)
