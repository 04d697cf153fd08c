from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from verifine.models.export import save_model
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.types import Prompt, Sampling


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_gives_the_same_greedy_text_in_plain_transformers(
    architecture: Architecture, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path / "base", architecture)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(1e-4)  # less than bfloat16 could express
    save_model(model, tmp_path / "model")

    network = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.chat_template == model.tokenizer.chat_template
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, model.network.state_dict()[name])
    token_ids = tokenizer("Largest of 3, 14").input_ids
    inputs = torch.tensor([token_ids])
    theirs = network.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=20, do_sample=False)
    sampling = Sampling(group_size=1, max_new_tokens=20, temperature=0.0)
    (group,) = NativeEngine(model).generate([Prompt(id="p", token_ids=tuple(token_ids), item={})], sampling)
    assert tokenizer.decode(theirs[0, len(token_ids) :], skip_special_tokens=True) == group.rollouts[0].text


def test_saving_again_replaces_the_folder(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path / "base")
    save_model(model, tmp_path / "model")
    (tmp_path / "model" / "stale").touch()
    save_model(model, tmp_path / "model")
    assert not (tmp_path / "model" / "stale").exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "verifine-home") == ["base", "model"]
