"""Every architecture that Verifine supports, compared with plain transformers; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    FalconH1Config,
    Gemma2Config,
    Gemma3Config,
    GptOssConfig,
    JambaConfig,
    Lfm2Config,
    Llama4TextConfig,
    LlavaConfig,
    Mamba2Config,
    MambaConfig,
    PhiConfig,
    PretrainedConfig,
    Qwen2_5_VLConfig,
    Qwen2MoeConfig,
    Qwen3NextConfig,
    T5Config,
    ViTConfig,
)

from verifine.config import build_config
from verifine.config.resolve import DataFacts, resolve
from verifine.errors import EngineError, ModelError
from verifine.launch.facts import describe_model, find_machine_facts, read_model_facts
from verifine.models.architectures import SUPPORTED
from verifine.models.load import check_attention, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import EVERY_ARCHITECTURE, Architecture, load_tiny_model, save_tiny_model, tiny_config
from verifine.testing.architecture_conformance import (
    ARCHITECTURE_CHECKS,
    HEAD_CHECKS,
    ArchitectureCase,
    ArchitectureCheck,
    check_gradients_through_a_packed_tree,
    check_log_probabilities_of_sampled_answers,
)
from verifine.types import Prompt, Sampling

QUICK = (check_gradients_through_a_packed_tree, check_log_probabilities_of_sampled_answers)
"""They find most faults; the others are run on one architecture by `make test`, and on every one by `make check`."""


def cells(checks: Sequence[ArchitectureCheck], quick: Sequence[ArchitectureCheck]) -> list[Any]:
    """Every check on every architecture, the slow ones marked."""
    return [
        pytest.param(
            check,
            architecture,
            id=f"{check.__name__.removeprefix('check_')}-{architecture}",
            marks=[] if check in quick or architecture == "granite" else pytest.mark.slow,
        )
        for check in checks
        for architecture in EVERY_ARCHITECTURE
    ]


@pytest.mark.parametrize(("check", "architecture"), cells(ARCHITECTURE_CHECKS, QUICK))
def test_an_architecture_is_that_of_transformers(
    check: ArchitectureCheck, architecture: Architecture, tmp_path: Path
) -> None:
    folder = save_tiny_model(tmp_path / "model", architecture)
    check(ArchitectureCase(folder=folder, scratch=tmp_path))


@pytest.mark.parametrize(("check", "architecture"), cells(HEAD_CHECKS, ()))
def test_a_padded_vocabulary_with_the_other_kind_of_head_is_that_of_transformers(
    check: ArchitectureCheck, architecture: Architecture, tmp_path: Path
) -> None:
    tied = not tiny_config(architecture).tie_word_embeddings
    folder = save_tiny_model(tmp_path / "model", architecture, padding=29, tied=tied)
    check(ArchitectureCase(folder=folder, scratch=tmp_path))


def load(folder: Path) -> None:
    load_model(ProvisionedModel(name="mine", folder=folder, source="local folder"), "float32")


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_every_supported_architecture_has_a_tiny_model_and_the_other_way_round() -> None:
    assert {tiny_config(each).model_type for each in EVERY_ARCHITECTURE} == {each.model_type for each in SUPPORTED}


REFUSED: dict[str, tuple[PretrainedConfig, str]] = {
    "t5": (T5Config(), "(t5) is an encoder-decoder"),
    "bart": (BartConfig(), "(bart) is an encoder-decoder"),
    "mamba": (MambaConfig(), "(mamba) has state-space or other recurrent layers"),
    "mamba2": (Mamba2Config(), "(mamba2) has state-space or other recurrent layers"),
    "jamba": (JambaConfig(), "(jamba) has state-space or other recurrent layers"),
    "falcon_h1": (FalconH1Config(), "(falcon_h1) has state-space or other recurrent layers"),
    "qwen3_next": (Qwen3NextConfig(), "(qwen3_next) has state-space or other recurrent layers"),
    "lfm2": (Lfm2Config(full_attn_idxs=[0]), "(lfm2) has layers of "),
    "llama4": (Llama4TextConfig(), "(llama4_text) has layers of "),
    "gemma3": (Gemma3Config(), "(gemma3) reads more than text"),
    "llava": (LlavaConfig(), "(llava) reads more than text"),
    "qwen2_5_vl": (Qwen2_5_VLConfig(), "(qwen2_5_vl) reads more than text"),
    "vit": (ViTConfig(), "(vit) does not write text"),
    "gemma2": (Gemma2Config(), "(gemma2) caps its attention scores"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_architecture_that_is_not_trained_is_refused_by_name_with_those_that_are(name: str, tmp_path: Path) -> None:
    """Before any weight is read: the folder has none."""
    config, told = REFUSED[name]
    config.save_pretrained(tmp_path)
    for refuse in (lambda: load(tmp_path), lambda: read_model_facts(tmp_path, "mine", None)):
        with pytest.raises(ModelError) as caught:
            refuse()
        assert str(caught.value).startswith(f"mine {told}")
        assert str(caught.value).count(". ") == 0, "one sentence"
        assert all(each.name in str(caught.value) for each in SUPPORTED)


def test_an_architecture_that_transformers_does_not_know_is_refused_with_those_that_are_trained(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    change_config(folder, model_type="nonesuch")
    with pytest.raises(
        ModelError, match=r"mine cannot be loaded: transformers 5.* has no architecture 'nonesuch'.*Qwen3"
    ):
        load(folder)


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq", "fp8", "mxfp4"])
def test_quantised_weights_are_refused_before_they_are_read(method: str, tmp_path: Path) -> None:
    """Also where the library is missing that would read them."""
    folder = save_tiny_model(tmp_path)
    change_config(folder, quantization_config={"quant_method": method, "load_in_4bit": True})
    with pytest.raises(ModelError, match=rf"the weights of mine are quantised \({method}\).*that they were made from"):
        load(folder)


def test_an_adapter_beside_the_weights_is_refused_with_the_model_that_it_names(tmp_path: Path) -> None:
    """transformers would load that model and leave the folder's own weights alone."""
    folder = save_tiny_model(tmp_path)
    settings = LoraConfig(r=2, target_modules=["q_proj"], base_model_name_or_path="maker/another")
    settings.save_pretrained(folder)
    with pytest.raises(ModelError, match=r"mine is an adapter of maker/another, not a model .*adapter_config.json"):
        load(folder)


def test_an_adapter_that_is_not_json_is_refused_too(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path)
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match="mine is an adapter of another model"):
        load(folder)


def test_a_merged_adapter_is_a_model(tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path / "base"))
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"]))
    folder = save_tiny_model(tmp_path / "merged")
    adapted.merge_and_unload().save_pretrained(folder)
    load(folder)


def network_of(config: PretrainedConfig) -> Any:
    return AutoModelForCausalLM.from_config(config, attn_implementation="verifine").eval()


SMALL: dict[str, Any] = {
    "vocab_size": 98,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


def test_a_window_that_attention_is_not_told_is_found_although_the_probe_is_shorter() -> None:
    config = Qwen2MoeConfig(
        **SMALL, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, shared_expert_intermediate_size=16,
        sliding_window=64, use_sliding_window=True, layer_types=["sliding_attention"] * 2,
    )  # fmt: skip
    with pytest.raises(ModelError, match="Qwen2MoeForCausalLM has layers with a sliding window, but does not pass it"):
        check_attention(network_of(config))


def test_a_head_with_a_bias_is_refused() -> None:
    with pytest.raises(ModelError, match="the vocabulary head of PhiForCausalLM has a bias"):
        check_attention(network_of(PhiConfig(**SMALL)))


def test_attention_sinks_are_refused() -> None:
    with pytest.raises(ModelError, match="GptOssAttention caps or sinks its attention"):
        check_attention(network_of(GptOssConfig(**SMALL, head_dim=16, num_local_experts=2)))


def test_a_mixture_of_experts_is_trained_in_float32_whatever_is_faster(tmp_path: Path) -> None:
    facts = read_model_facts(save_tiny_model(tmp_path, "qwen3-moe"), "mine", None)
    config = build_config({"data": {"task": "largest"}})
    machine = find_machine_facts(torch.device("cpu"), precision="bfloat16")
    data = DataFacts(answer_tokens=16, longest_prompt=16)
    assert resolve(config, facts, machine, data).model.precision == "float32"
    plain = describe_model(tiny_config("qwen3"), "mine", None)
    assert resolve(config, plain, machine, data).model.precision == "bfloat16"


def test_a_context_ends_where_longrope_would_turn_every_token_by_other_angles(tmp_path: Path) -> None:
    """As plain transformers does for a whole batch as soon as one of its sequences is longer."""
    model = load_tiny_model(tmp_path, "phi4-mini")
    assert model.network.config.max_position_embeddings == 256
    assert model.context_length == read_model_facts(tmp_path, "mine", None).context_length == 128
    prompt = Prompt(id="p", token_ids=tuple([5] * 125), item={})
    NativeEngine(model).generate([prompt], Sampling(group_size=1, max_new_tokens=3))
    with pytest.raises(EngineError, match="context"):
        NativeEngine(model).generate([prompt], Sampling(group_size=1, max_new_tokens=4))


def test_a_config_of_longrope_as_phi_has_it_on_the_hub_ends_there_too(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, "phi4-mini")
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    rope = settings.pop("rope_parameters")
    factors = {"short_factor": rope["short_factor"], "long_factor": rope["long_factor"]}
    settings |= {"rope_scaling": {"type": "longrope", **factors}, "partial_rotary_factor": 0.75, "rope_theta": 1e4}
    path.write_text(json.dumps({**settings, "original_max_position_embeddings": 128}))
    assert read_model_facts(folder, "mine", None).context_length == 128
