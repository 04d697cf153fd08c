from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.apart import add_packages_apart
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from verifine.errors import ModelError, SetupError
from verifine.models.export import rehearse_saving, save_model
from verifine.models.load import LanguageModel, load_model
from verifine.models.network.decoder_trunk import DecoderTrunk
from verifine.models.network.forward import tree_logprobs
from verifine.models.network.lora import adapters_off, attach_lora
from verifine.models.network.quantized_linear import BaseBits, QuantizedLinear
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.provision.stored import ProvisionedModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.testing import Architecture, save_tiny_model
from verifine.types import Prompt, Sampling

add_packages_apart()
four = pytest.param(
    4, marks=pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed")
)
both_widths = pytest.mark.parametrize("bits", [8, four])
architectures = pytest.mark.parametrize(
    "architecture",
    [
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("gemma3", "phi3")),
    ],
)

TREE = grow_tree(
    [Branch(prompt=(5, 6, 7, 8), completions=[(9, 10, 11), (12,)]), Branch(prompt=(5, 9), completions=[(4,)])]
)

NF4 = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
"""The numbers of QLoRA's appendix E (arXiv:2305.14314)."""


def save(folder: Path, architecture: Architecture = "llama", stored: torch.dtype = torch.float32) -> ProvisionedModel:
    saved = save_tiny_model(folder, architecture)
    if stored != torch.float32:
        network = AutoModelForCausalLM.from_pretrained(saved, dtype=stored)
        network.config.dtype = stored
        network.save_pretrained(saved)
    return ProvisionedModel(name=f"tiny-{architecture}", folder=saved, source="random")


def linears(model: LanguageModel) -> dict[str, nn.Linear]:
    head = model.network.get_output_embeddings()
    named = model.network.named_modules()
    return {path: each for path, each in named if isinstance(each, nn.Linear) and each is not head}


def with_weights_of(plain: LanguageModel, quantized: LanguageModel) -> LanguageModel:
    """The plain model with the weights that the quantised one stands for."""
    held = linears(quantized)
    with torch.no_grad():
        for path, layer in linears(plain).items():
            each = held[path]
            assert isinstance(each, QuantizedLinear)
            layer.weight.copy_(each.dequantized(torch.float32))
    return plain


def moved(model: LanguageModel) -> LanguageModel:
    """With adapters, as after some training."""
    adapted = attach_lora(model, 4, 8, "all-linear", seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trained(adapted).values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return adapted


def trained(model: LanguageModel) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in model.network.named_parameters() if parameter.requires_grad}


def logprobs(model: LanguageModel) -> Tensor:
    return tree_logprobs(model.trunk, model.head, TREE, 1.0)[0]


def nearest_number(weight: float, scale: float) -> float:
    return min((abs(number * scale - weight), number * scale) for number in NF4)[1]


def test_8_bits_hold_a_row_in_127_steps_to_either_side(tmp_path: Path) -> None:
    files = save(tmp_path)
    plain, held = (linears(load_model(files, "float32", base_bits=bits)) for bits in (None, 8))
    for path, layer in held.items():
        assert isinstance(layer, QuantizedLinear)
        assert layer.weight.dtype == torch.int8
        found, weight = layer.dequantized(torch.float32), plain[path].weight
        for row, original in zip(found.tolist(), weight.tolist(), strict=True):
            step = max(map(abs, original)) / 127
            assert row == pytest.approx([round(number / step) * step for number in original], abs=0.51 * step)
            assert all(abs(one - other) <= 0.501 * step for one, other in zip(row, original, strict=True))


@pytest.mark.parametrize("bits", [four])
def test_4_bits_hold_each_block_of_64_in_the_numbers_of_the_paper(bits: BaseBits, tmp_path: Path) -> None:
    files = save(tmp_path)
    plain, held = (linears(load_model(files, "float32", base_bits=each)) for each in (None, bits))
    path = "model.layers.1.mlp.down_proj"
    layer = held[path]
    assert isinstance(layer, QuantizedLinear)
    assert layer.weight.nbytes == plain[path].weight.numel() // 2
    found = layer.dequantized(torch.float32).flatten().tolist()
    weight = plain[path].weight.flatten().tolist()
    for start in range(0, len(weight), 64):
        block = weight[start : start + 64]
        scale = max(map(abs, block))
        assert found[start : start + 64] == pytest.approx([nearest_number(each, scale) for each in block], abs=1e-5)


@both_widths
@architectures
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_quantised_base_computes_and_learns_as_the_weights_that_it_stands_for(
    architecture: Architecture, precision: str, bits: BaseBits, tmp_path: Path
) -> None:
    files = save(tmp_path, architecture)
    held = load_model(files, precision, base_bits=bits)  # type: ignore[arg-type]
    plain = moved(with_weights_of(load_model(files, precision), held))  # type: ignore[arg-type]
    held = moved(held)
    assert type(held.trunk) is type(plain.trunk)
    rtol, atol, share = (1e-4, 1e-5, 1e-4) if precision == "float32" else (0.05, 0.1, 0.1)
    wanted, found = logprobs(plain), logprobs(held)
    torch.testing.assert_close(found, wanted, rtol=rtol, atol=atol)
    wanted.sum().backward()
    found.sum().backward()
    others = trained(plain)
    assert others.keys() == trained(held).keys()
    for name, parameter in trained(held).items():
        gradient, other = parameter.grad, others[name].grad
        assert gradient is not None
        assert other is not None
        assert (gradient - other).norm() <= share * other.norm()
    with adapters_off(held.network), adapters_off(plain.network), torch.no_grad():
        torch.testing.assert_close(logprobs(held), logprobs(plain), rtol=rtol, atol=atol)


@both_widths
def test_the_engine_samples_from_what_is_learned_with(bits: BaseBits, tmp_path: Path) -> None:
    model = moved(load_model(save(tmp_path), "float32", base_bits=bits))
    engine = NativeEngine(model)
    prompts = [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in ("abc", "zz?")]
    sampling = Sampling(group_size=4, max_new_tokens=20, temperature=1.0)
    rollouts = [rollout for group in engine.generate(prompts, sampling) for rollout in group.rollouts]
    assert engine.traits.is_exact
    assert engine.fingerprint().digests
    for rollout, learned in zip(rollouts, engine.logprobs(rollouts, sampling), strict=True):
        assert rollout.behaviour_logprobs == pytest.approx(learned, abs=1e-4)


@both_widths
def test_sampling_in_bfloat16_takes_no_copy_of_the_linear_layers(bits: BaseBits, tmp_path: Path) -> None:
    files = save(tmp_path)
    plain, held = (load_model(files, "bfloat16", base_bits=each) for each in (None, bits))
    weights = sum(layer.weight.numel() for layer in linears(plain).values())
    copied = [NativeEngine(each).traits.resident_bytes for each in (plain, held)]
    assert copied[1] <= copied[0] - 2 * weights or copied == [0, 0]
    bytes_held = sum(layer.weight.nbytes + layer.get_buffer("scales").nbytes for layer in linears(held).values())
    assert bytes_held <= (1.07 if bits == 8 else 0.5625) * weights
    assert held.parameter_count == plain.parameter_count


@both_widths
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_adapters_are_merged_into_the_weights_of_the_files(stored: torch.dtype, bits: BaseBits, tmp_path: Path) -> None:
    files = save(tmp_path / "base", stored=stored)
    original = {name: each.float() for name, each in load_file(files.folder / "model.safetensors").items()}
    model = moved(load_model(files, "float32", base_bits=bits))
    rehearse_saving(model, tmp_path / "rehearsal")
    save_model(model, tmp_path / "model")
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert saved.keys() == original.keys()
    loaded = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(files.folder, dtype=torch.float32), tmp_path / "model" / "adapter"
    )
    merged = loaded.merge_and_unload().state_dict()
    for name, tensor in saved.items():
        torch.testing.assert_close(tensor, merged[name], rtol=0, atol=1e-6)
        assert torch.equal(tensor, original[name]) == ("_proj" not in name)
    names = {path.name for path in (tmp_path / "model" / "adapter").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}
    again = load_model(ProvisionedModel(name="m", folder=tmp_path / "model", source="local folder"), "float32")
    assert {parameter.dtype for parameter in again.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_a_model_that_is_stored_in_bfloat16_is_no_other_one(architecture: Architecture, tmp_path: Path) -> None:
    files = save(tmp_path, architecture, torch.bfloat16)
    held = load_model(files, "float32", base_bits=8)
    plain = with_weights_of(load_model(files, "float32"), held)
    assert isinstance(held.trunk, DecoderTrunk) == (architecture == "llama")
    with torch.no_grad():
        torch.testing.assert_close(logprobs(held), logprobs(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_only_the_adapters_learn(architecture: Architecture, tmp_path: Path) -> None:
    model = moved(load_model(save(tmp_path, architecture), "float32", base_bits=8))
    assert all(".lora_" in name for name in trained(model))
    with torch.no_grad():
        before = {name: tensor.clone() for name, tensor in model.network.state_dict().items() if ".lora_" not in name}
    logprobs(model).sum().backward()
    assert all(torch.equal(model.network.state_dict()[name], tensor) for name, tensor in before.items())
    assert not any(p.grad is not None for n, p in model.network.named_parameters() if ".lora_" not in n)


def test_experts_are_refused_by_the_name_of_their_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^tiny-qwen3-moe is a mixture of experts.*model\.lora\.base_bits"):
        load_model(save(tmp_path, "qwen3-moe"), "float32", base_bits=8)


def test_4_bits_without_their_package_are_refused_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "verifine.models.network.nf4", raising=False)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.delitem(sys.modules, "bitsandbytes.functional", raising=False)
    with pytest.raises(SetupError, match=r"pip install 'verifine\[quantised\]'.*model\.lora\.base_bits"):
        load_model(save(tmp_path), "float32", base_bits=4)
