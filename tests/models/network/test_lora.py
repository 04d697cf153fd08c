from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from verifine.config import LoraConfig, load_config
from verifine.errors import ModelError
from verifine.models.export import save_model
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.lora import adapters_off, attach_lora, hold_frozen_weights, merged_weights
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import Trunk
from verifine.models.provision.cache import ORIGIN_FILE, Origin, origin_content
from verifine.models.provision.shipped import SHIPPED
from verifine.models.provision.stored import ProvisionedModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import ARCHITECTURES, Architecture, load_tiny_model
from verifine.types import Prompt, Sampling

both_architectures = pytest.mark.parametrize("architecture", ARCHITECTURES)

TREE = grow_tree(
    [Branch(prompt=(5, 6, 7, 8), completions=[(9, 10, 11), (12,)]), Branch(prompt=(5, 9), completions=[(4,)])]
)
LAYERS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def adapted(folder: Path, architecture: Architecture = "llama", seed: int = 0) -> LanguageModel:
    return attach_lora(load_tiny_model(folder, architecture), 4, 8, "all-linear", seed)


def moved(model: LanguageModel) -> LanguageModel:
    """As after some training."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def logprobs(model: LanguageModel) -> Tensor:
    with torch.no_grad():
        return tree_logprobs(model.trunk, model.head, TREE, 1.0)[0]


def trained(model: LanguageModel) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in model.network.named_parameters() if parameter.requires_grad}


@both_architectures
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_computes_the_same_until_its_adapters_move(
    architecture: Architecture, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path, architecture).with_compute_dtype(dtype)
    before = logprobs(model)
    model = attach_lora(model, 4, 8, "all-linear", seed=0)
    assert torch.equal(logprobs(model), before)
    assert not torch.equal(logprobs(moved(model)), before)


@both_architectures
def test_only_the_adapters_learn(architecture: Architecture, tmp_path: Path) -> None:
    model = moved(adapted(tmp_path, architecture))
    tree_logprobs(model.trunk, model.head, TREE, 1.0)[0].sum().backward()
    learning = {name for name, parameter in model.network.named_parameters() if parameter.grad is not None}
    places = [
        f"layers.{layer}.{room}.{name}"
        for layer in (0, 1)
        for name, room in zip(LAYERS, ["self_attn"] * 4 + ["mlp"] * 3, strict=True)
    ]
    assert learning == {f"model.{place}.lora_{matrix}.default.weight" for place in places for matrix in "AB"}
    assert all(parameter.grad.abs().max() > 0 for parameter in trained(model).values() if parameter.grad is not None)
    assert {parameter.dtype for parameter in trained(model).values()} == {torch.float32}
    assert not any(module.training for module in model.network.modules())


def test_an_update_is_scaled_by_alpha_over_rank(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    projection = model.network.model.layers[0].self_attn.q_proj
    attach_lora(model, 2, 6, ["q_proj"], seed=0)
    parameters = trained(moved(model))
    a, b = (parameters[f"model.layers.0.self_attn.q_proj.lora_{matrix}.default.weight"] for matrix in "AB")
    x = torch.linspace(-1, 1, 64)
    found = model.network.model.layers[0].self_attn.q_proj(x)
    torch.testing.assert_close(found, projection.weight @ x + 3 * (b @ (a @ x)))
    assert (a.shape, b.shape) == ((2, 64), (64, 2))
    assert len(parameters) == 4, "two layers, two matrices each"


@both_architectures
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_its_adapters_a_trained_model_is_exactly_the_starting_model(
    architecture: Architecture, dtype: torch.dtype, tmp_path: Path
) -> None:
    model = load_tiny_model(tmp_path, architecture).with_compute_dtype(dtype)
    start = logprobs(model)
    model = moved(attach_lora(model, 4, 8, "all-linear", seed=0))
    after = logprobs(model)
    with adapters_off(model.network):
        assert torch.equal(logprobs(model), start)
    assert torch.equal(logprobs(model), after)
    assert len(trained(model)) == 28


def test_adapters_stay_off_until_the_outermost_block_ends_however_it_ends(tmp_path: Path) -> None:
    model = moved(adapted(tmp_path))
    after = logprobs(model)
    with pytest.raises(KeyError), adapters_off(model.network):
        start = logprobs(model)
        with adapters_off(model.network):
            assert torch.equal(logprobs(model), start)
        assert torch.equal(logprobs(model), start)
        raise KeyError
    assert not torch.equal(start, after)
    assert torch.equal(logprobs(model), after)


def test_a_gradient_goes_on_after_the_adapters_were_off(tmp_path: Path) -> None:
    gradients = []
    for looks_at_the_start in (False, True):
        model = moved(adapted(tmp_path))
        policy = tree_logprobs(model.trunk, model.head, TREE, 1.0)[0]
        if looks_at_the_start:
            with adapters_off(model.network):
                logprobs(model)
        gradients.append(torch.autograd.grad(policy.sum(), list(trained(model).values())))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_the_seed_alone_decides_where_the_adapters_begin(tmp_path: Path) -> None:
    torch.manual_seed(5)
    first = trained(adapted(tmp_path, seed=3))
    state = torch.get_rng_state()
    torch.manual_seed(6)
    again, other = trained(adapted(tmp_path, seed=3)), trained(adapted(tmp_path, seed=4))
    torch.manual_seed(5)
    assert torch.equal(torch.get_rng_state(), state), "the caller's own generator is left as it was"
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first if ".lora_A." in name)


@pytest.mark.parametrize("targets", [["q_proj", "query"], ["lm_head"], ["embed_tokens"], ["self_attn"]])
def test_a_target_that_cannot_be_adapted_is_refused_with_those_that_can(targets: Sequence[str], tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path, "qwen3")
    listed = ", ".join(LAYERS)
    with pytest.raises(
        ModelError, match=rf"^model.lora.targets: .*tiny-qwen3.* {targets[-1]}\. .*{listed}.*all-linear"
    ):
        attach_lora(model, 4, 8, targets, seed=0)


@both_architectures
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_the_engine_samples_from_the_adapted_model(
    architecture: Architecture, temperature: float, tmp_path: Path
) -> None:
    model = moved(adapted(tmp_path, architecture))
    engine = NativeEngine(model)
    prompts = [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in ("abc", "zz?")]
    sampling = Sampling(group_size=4, max_new_tokens=20, temperature=temperature)
    groups = engine.generate(prompts, sampling)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    for rollout, learned in zip(rollouts, engine.logprobs(rollouts, sampling), strict=True):
        assert rollout.behaviour_logprobs == pytest.approx(learned, abs=1e-4)
    with adapters_off(model.network):
        start = engine.logprobs(rollouts, sampling)
    assert start[0] != pytest.approx(rollouts[0].behaviour_logprobs, abs=1e-2)


@both_architectures
def test_a_saved_model_is_the_merged_one(architecture: Architecture, tmp_path: Path) -> None:
    model = moved(adapted(tmp_path / "base", architecture))
    after = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    save_model(model, tmp_path / "model")

    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, after[name]), "saving changed the network that trains"
    assert len(trained(model)) == 28
    plain, info = AutoModelForCausalLM.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(info.values()), "a weight is missing, or one too many"
    token_ids = torch.tensor([[5, 6, 7, 8, 9]])
    model.network.set_attn_implementation("eager")
    with torch.no_grad():
        torch.testing.assert_close(plain(token_ids).logits, model.network(token_ids).logits, rtol=0, atol=1e-5)
    model.network.set_attn_implementation("verifine")
    again = load_model(ProvisionedModel(name="m", folder=tmp_path / "model", source="local folder"), "float32")
    torch.testing.assert_close(logprobs(again), logprobs(model), rtol=0, atol=1e-5)


@both_architectures
def test_a_saved_adapter_loads_with_peft_onto_the_starting_model(architecture: Architecture, tmp_path: Path) -> None:
    model = moved(adapted(tmp_path / "base", architecture))
    save_model(model, tmp_path / "model")
    folder = tmp_path / "model" / "adapter"
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tmp_path / "base")
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (4, 8, 0.0)

    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    loaded = PeftModel.from_pretrained(base, folder)
    token_ids = torch.tensor([[5, 6, 7, 8, 9]])
    model.network.set_attn_implementation("eager")
    with torch.no_grad():
        torch.testing.assert_close(loaded(token_ids).logits, model.network(token_ids).logits, rtol=0, atol=1e-5)


def test_a_model_without_adapters_is_saved_without_an_adapter(tmp_path: Path) -> None:
    save_model(load_tiny_model(tmp_path / "base"), tmp_path / "model")
    assert not (tmp_path / "model" / "adapter").exists()


def test_the_guides_example_is_a_configuration_with_the_defaults(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "howto" / "lora.md").read_text(encoding="utf-8")
    path = tmp_path / "run.yaml"
    path.write_text(guide.split("```yaml\n")[1].split("```")[0])
    assert load_config(path).model.lora == LoraConfig(rank=16, alpha=32, targets="all-linear") == LoraConfig()


def test_what_was_trained_goes_into_a_fresh_model(tmp_path: Path) -> None:
    model = moved(adapted(tmp_path))
    state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    fresh = adapted(tmp_path, seed=9)
    fresh.network.load_state_dict(state)
    assert torch.equal(logprobs(fresh), logprobs(model))
    other = adapted(tmp_path, seed=9)
    NativeEngine(other).load_weights(model.network.state_dict(keep_vars=True), version=1)
    assert torch.equal(logprobs(other), logprobs(model))


def test_rank_stabilised_updates_are_scaled_by_the_root_of_the_rank(tmp_path: Path) -> None:
    plain = moved(attach_lora(load_tiny_model(tmp_path), 4, 8, "all-linear", seed=0))
    stabilised = moved(attach_lora(load_tiny_model(tmp_path), 4, 8, "all-linear", seed=0, rslora=True))
    start = load_tiny_model(tmp_path).network.state_dict()
    one, other = merged_weights(plain.network), merged_weights(stabilised.network)
    name = "model.layers.1.mlp.down_proj.weight"
    # 8 / sqrt(4) in place of 8 / 4.
    torch.testing.assert_close(other[name] - start[name], 2 * (one[name] - start[name]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("revision", [None, "c0ffee"])
def test_a_saved_adapter_names_its_base_as_the_hub_does(revision: str | None, tmp_path: Path) -> None:
    model = adapted(tmp_path / "base")
    origin = Origin(
        hub_id="someone/tiny", source="hub", revision=revision, licence=None, fetched=datetime(2026, 11, 30, tzinfo=UTC)
    )
    (tmp_path / "base" / ORIGIN_FILE).write_bytes(origin_content(origin))
    save_model(model, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/tiny", revision)


def test_adapters_of_a_model_that_comes_with_verifine_name_it_and_no_folder_of_this_machine(tmp_path: Path) -> None:
    pico = ProvisionedModel(name="pico", folder=SHIPPED["pico"].folder, source="Verifine")
    save_model(attach_lora(load_model(pico, "float32"), 4, 8, "all-linear", seed=0), tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("pico", None)


def stored_in_bfloat16(model: LanguageModel) -> LanguageModel:
    """As if its files were."""
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.copy_(parameter.to(torch.bfloat16))
    return model


def linear_dtypes(model: LanguageModel) -> set[torch.dtype]:
    return {weight.dtype for name, weight in model.network.named_parameters() if ".base_layer." in name}


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "qwen3"])
@pytest.mark.parametrize("targets", ["all-linear", ["k_proj", "down_proj"]])
def test_frozen_weights_held_in_bfloat16_change_nothing_to_the_bit(
    architecture: Architecture, targets: list[str] | Literal["all-linear"], tmp_path: Path
) -> None:
    def make() -> LanguageModel:
        base = stored_in_bfloat16(load_tiny_model(tmp_path, architecture)).with_compute_dtype(torch.bfloat16)
        return moved(attach_lora(base, 4, 8, targets, seed=0))

    plain, held = make(), make()
    wanted = merged_weights(plain.network)
    hold_frozen_weights(held)
    assert linear_dtypes(held) == {torch.bfloat16}
    assert torch.equal(logprobs(held), logprobs(plain))
    with adapters_off(held.network), adapters_off(plain.network):
        assert torch.equal(logprobs(held), logprobs(plain))
    for model in (plain, held):
        tree_logprobs(model.trunk, model.head, TREE, 1.0)[0].sum().backward()
    gradients = {name: parameter.grad for name, parameter in trained(held).items()}
    for name, parameter in trained(plain).items():
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=0, atol=0)
    found = merged_weights(held.network)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) and found[name].dtype == torch.float32 for name in wanted)
    packed, other = held.trunk.for_inference(), plain.trunk.for_inference()
    assert torch.equal(run_trunk(packed), run_trunk(other))
    engine = NativeEngine(held)
    assert engine.fingerprint() == NativeEngine(plain).fingerprint()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_bfloat16_lacks_are_kept_in_float32(dtype: torch.dtype, tmp_path: Path) -> None:
    base = load_tiny_model(tmp_path)
    if dtype == torch.float32:  # bfloat16 has the weights, but the products are not in it
        stored_in_bfloat16(base)
    model = attach_lora(base.with_compute_dtype(dtype), 4, 8, "all-linear", seed=0)
    hold_frozen_weights(model)
    assert linear_dtypes(model) == {torch.float32}


def test_only_frozen_weights_are_held_in_bfloat16(tmp_path: Path) -> None:
    model = stored_in_bfloat16(load_tiny_model(tmp_path)).with_compute_dtype(torch.bfloat16)
    hold_frozen_weights(model)
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


@torch.no_grad()
def run_trunk(trunk: Trunk) -> Tensor:
    return trunk.hidden_states(TREE.token_ids, TREE.position_ids, TreeAttention(TREE))
