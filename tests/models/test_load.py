from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Gemma2Config

from verifine.errors import ModelError
from verifine.models.load import check_attention, fastest_dtype, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.testing import load_tiny_model, save_tiny_model


def load(folder: Path) -> None:
    load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")


def test_a_model_is_loaded_in_float32_without_dropout(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
    assert not model.network.training
    assert model.stop_token_ids == {2}
    assert model.context_length == 256


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="chat template"):
        load(folder)


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "nonesuch"}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(folder)


def test_an_architecture_that_caps_its_attention_is_refused(tmp_path: Path) -> None:
    # Without windows and sinks, the cap on Gemma 2's attention logits is all that sets it apart.
    config = Gemma2Config(
        vocab_size=98, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, attn_implementation="verifine",
    )  # fmt: skip
    network = AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(ModelError, match="caps or sinks its attention"):
        check_attention(network)


def test_a_forward_pass_that_differs_is_refused(tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path).network
    check_attention(network)
    original = network.lm_head.forward
    network.lm_head.forward = lambda hidden: original(hidden) + 1.0
    with pytest.raises(ModelError, match="logits"):
        check_attention(network)


def test_the_attention_check_leaves_the_implementation_as_it_was(tmp_path: Path) -> None:
    assert load_tiny_model(tmp_path).network.config._attn_implementation == "verifine"


def test_bfloat16_has_to_earn_its_rounding() -> None:
    cpu = torch.device("cpu")
    # Six timed products in float32, then six in bfloat16; the clock is read before and after each.
    times = {"fast": [1.0] * 6 + [0.5] * 6, "even": [1.0] * 6 + [0.9] * 6, "slow": [1.0] * 6 + [2.0] * 6}
    chosen = {}
    for name, durations in times.items():
        readings = itertools.chain.from_iterable((0.0, duration) for duration in durations)
        chosen[name] = fastest_dtype(cpu, lambda readings=readings: next(readings))  # type: ignore[misc]
    assert chosen == {"fast": torch.bfloat16, "even": torch.float32, "slow": torch.float32}


def test_bfloat16_weights_become_float32(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    weights = {name: tensor.bfloat16() for name, tensor in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model = load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}
