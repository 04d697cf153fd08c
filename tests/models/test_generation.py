"""Generation settings that transformers reads and refuses to write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from verifine.errors import ModelError
from verifine.models.export import rehearse_saving, save_model
from verifine.models.load import load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.testing import save_tiny_model

TOKENS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}

UNWRITABLE: dict[str, dict[str, Any]] = {
    "sampling flags of Llama 2": {"do_sample": False, "temperature": 0.9, "top_p": 0.6},
    "sampling flags, and no word on sampling": {"temperature": 0.7, "top_k": 20, "min_p": 0.1},
    "cutoffs": {"do_sample": False, "typical_p": 0.9, "epsilon_cutoff": 3e-4, "eta_cutoff": 3e-4},
    "beam flags without beams": {"num_beams": 1, "early_stopping": True, "length_penalty": 2.0},
    "outputs of a call": {"output_scores": True, "output_attentions": True},
    "a cache that is off": {"use_cache": False, "cache_implementation": "static"},
    "padding with -1": {"pad_token_id": -1},
}

WRITABLE: dict[str, dict[str, Any]] = {
    "sampling": {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20},
    "beams": {"num_beams": 2, "early_stopping": True, "length_penalty": 2.0},
    "several ends": {"eos_token_id": [2, 5]},
    "a penalty": {"repetition_penalty": 1.3},
}


def load(folder: Path, settings: dict[str, Any]) -> Any:
    save_tiny_model(folder)
    (folder / "generation_config.json").write_text(json.dumps({**TOKENS, **settings}))
    return load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")


def continue_text(folder: Path) -> list[int]:
    network = AutoModelForCausalLM.from_pretrained(folder)
    inputs = torch.tensor([[5, 6, 7, 8]])
    torch.manual_seed(0)
    made = network.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=12)
    return list(map(int, getattr(made, "sequences", made)[0]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*UNWRITABLE, *WRITABLE])
def test_a_model_that_was_read_is_saved_and_generates_the_same(name: str, tmp_path: Path) -> None:
    settings = (UNWRITABLE | WRITABLE)[name]
    model = load(tmp_path / "base", settings)
    save_model(model, tmp_path / "model")
    written = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert written["eos_token_id"] == settings.get("eos_token_id", 2)
    assert continue_text(tmp_path / "model") == continue_text(tmp_path / "base")


@pytest.mark.parametrize("name", WRITABLE)
def test_settings_that_matter_are_saved_as_they_were(name: str, tmp_path: Path) -> None:
    save_model(load(tmp_path / "base", WRITABLE[name]), tmp_path / "model")
    written = json.loads((tmp_path / "model" / "generation_config.json").read_text())
    assert {key: written[key] for key in WRITABLE[name]} == WRITABLE[name]


@pytest.mark.filterwarnings("ignore")
def test_settings_of_an_old_config_are_saved_too(tmp_path: Path) -> None:
    """Before there was a generation_config.json, config.json had them."""
    folder = save_tiny_model(tmp_path / "base")
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "temperature": 0.9, "max_length": 40}))
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    save_model(model, tmp_path / "model")
    assert continue_text(tmp_path / "model") == continue_text(folder)


@pytest.mark.filterwarnings("ignore")
def test_a_search_that_needs_the_flag_is_refused_by_file_and_flag(tmp_path: Path) -> None:
    model = load(tmp_path / "base", {"penalty_alpha": 0.6, "top_k": 4})
    with pytest.raises(ModelError, match=r"mine .*generation_config\.json.*top_k"):
        rehearse_saving(model, tmp_path / "model")
