from __future__ import annotations

from pathlib import Path

import pytest
from transformers import LlamaConfig

from verifine import train
from verifine.runs.directory import RunDirectory
from verifine.testing import save_tiny_model
from verifine.testing.byte_level import save_byte_level_model
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
def byte_level_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run of a model with a tokenizer of the usual kind."""
    folder = tmp_path_factory.mktemp("bytes")
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": 256}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    tokens = {"vocab_size": 0, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    base = save_byte_level_model(folder / "base", LlamaConfig(**shape, **heads, **tokens), "gpt-2")
    config = tiny_run(folder, base, run={"steps": 1}, model={"lora": {"rank": 4}}, optim={"learning_rate": 0.02})
    return train(config, grader=grade, check=False).directory


@pytest.fixture(scope="session")
def lora_run(base: Path, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A finished run that trained adapters, far enough to be seen."""
    config = tiny_run(tmp_path_factory.mktemp("lora"), base, model={"lora": {"rank": 4}}, optim={"learning_rate": 0.02})
    return train(config, grader=grade, check=False).directory
