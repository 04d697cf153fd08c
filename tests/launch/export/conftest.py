from __future__ import annotations

from pathlib import Path

import pytest

from verifine import train
from verifine.runs.directory import RunDirectory
from verifine.testing import save_tiny_model
from verifine.testing.sessions import grade, tiny_run


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A starting model with rows of the vocabulary that have no token."""
    return save_tiny_model(tmp_path_factory.mktemp("base") / "tiny", padding=8)


@pytest.fixture(scope="session")
def full_run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run that trained every weight; a test copies it before it changes something."""
    config = tiny_run(tmp_path_factory.mktemp("full"), base, run={"eval_interval": 1, "keep_last": 5})
    return train(config, grader=grade, check=False).directory


@pytest.fixture(scope="session")
def lora_run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run that trained adapters, far enough to be seen."""
    config = tiny_run(tmp_path_factory.mktemp("lora"), base, model={"lora": {"rank": 4}}, optim={"learning_rate": 0.02})
    return train(config, grader=grade, check=False).directory
