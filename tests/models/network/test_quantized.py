from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, Gemma3TextConfig, PretrainedConfig, PreTrainedModel, Qwen2Config

from verifine.errors import ModelError
from verifine.models.load import LanguageModel
from verifine.models.network.attention import IMPLEMENTATION
from verifine.models.network.lora import attach_lora, merged_weights
from verifine.models.network.quantized import (
    Int8Linear,
    QuantizedCopy,
    has_faster_bfloat16,
    int8_is_exact,
    int8_is_faster,
    quantize_rows,
)
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.tree_attention import TreeAttention
from verifine.models.network.trunk import TransformersTrunk
from verifine.models.network.vocabulary import Vocabulary, head_weight
from verifine.testing import Architecture, load_tiny_model

needs_exact_int8 = pytest.mark.skipif(not int8_is_exact(), reason="this processor's int8 products overflow")
both_architectures = pytest.mark.parametrize("architecture", ["llama", "qwen3"])

TREE = grow_tree([Branch(prompt=(5, 6, 7, 8, 40, 41), completions=[(9, 10, 11), (12, 13, 13, 12)])])
SHAPE = {
    "vocab_size": 98, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "attn_implementation": IMPLEMENTATION,
}  # fmt: skip


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(inputs: int = 96, outputs: int = 40, bias: bool = True) -> tuple[Int8Linear, Tensor]:
    """A layer whose third channel is thirty times as large as the others, and its weight."""
    sizes = torch.ones(inputs)
    sizes[2] = 30.0
    made = Int8Linear(outputs, nn.Parameter(draw(outputs, seed=1), requires_grad=False) if bias else None, sizes)
    weight = draw(outputs, inputs, seed=2)
    made.quantize(weight)
    return made, weight


def every_row(network: PreTrainedModel) -> Vocabulary:
    return Vocabulary(size=len(head_weight(network)))


@torch.no_grad()
def hidden_of(network: PreTrainedModel) -> Tensor:
    trunk = TransformersTrunk(network, torch.float32)
    return trunk.hidden_states(TREE.token_ids, TREE.position_ids, TreeAttention(TREE))


@torch.no_grad()
def logprobs_of(network: PreTrainedModel, logits: Callable[[Tensor], Tensor] | None = None) -> Tensor:
    hidden = hidden_of(network)
    scores = hidden @ head_weight(network).T if logits is None else logits(hidden)
    return scores.log_softmax(dim=-1)


def linears(network: PreTrainedModel) -> Iterator[tuple[str, nn.Linear]]:
    for name, module in network.base_model.named_modules():
        if isinstance(module, nn.Linear):
            yield name, module


def distance(quantized: QuantizedCopy, network: PreTrainedModel) -> float:
    return (logprobs_of(quantized.network, quantized.logits) - logprobs_of(network)).abs().mean().item()


def test_numbers_worked_by_hand() -> None:
    numbers, scale = quantize_rows(torch.tensor([[254.0, -254.0, 1.0, 3.0, -3.1], [0.0, 0.0, 0.0, 0.0, 0.0]]))
    # Halves go to the even neighbour: 1 / 2 to 0, 3 / 2 to 2.
    assert numbers.tolist() == [[127, -127, 0, 2, -2], [0, 0, 0, 0, 0]]
    assert scale[0].item() == 2.0
    assert (numbers * scale)[1].tolist() == [0.0] * 5


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40))
def test_a_number_is_off_by_half_a_step_at_most(values: list[float]) -> None:
    row = torch.tensor([values])
    numbers, scale = quantize_rows(row)
    step = row.abs().max().double() / 127
    error = (numbers.double() * scale.double() - row.double()).abs().max()
    assert error <= 0.5001 * step + 1e-30
    assert numbers.abs().max() <= 127


@needs_exact_int8
@pytest.mark.parametrize("rows", [1, 3, 64, 300])
@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_computes_the_product_of_what_was_rounded(rows: int, bias: bool) -> None:
    made, weight = layer(bias=bias)
    x = draw(rows, 96, seed=3)
    x[:, 2] *= 30
    damping = torch.ones(96, dtype=torch.float64)
    typical = ((95 + 30.0**2) / 96) ** 0.5
    damping[2] = (30.0 / typical) ** -0.5

    def rounded(matrix: Tensor) -> Tensor:
        step = matrix.abs().amax(dim=1, keepdim=True) / 127
        return (matrix / step).round() * step

    expected = rounded(x.double() * damping) @ rounded(weight.double() / damping).T
    expected += 0 if made.bias is None else made.bias.double()
    found = made(x).double()
    # A number that lies on the border of two steps may go either way in float32.
    assert (found - expected).abs().mean() < 1e-3 * expected.abs().mean()
    assert (found - x.double() @ weight.double().T).abs().mean() > 1e-3 * expected.abs().mean(), "it was rounded"


@needs_exact_int8
def test_damping_brings_a_layer_with_large_channels_nearer_to_float32() -> None:
    made, weight = layer(bias=False)
    plain = Int8Linear(40, None, torch.ones(96))
    plain.quantize(weight)
    x = draw(64, 96, seed=3)
    x[:, 2] *= 30
    exact = x @ weight.T
    assert (made(x) - exact).abs().mean() < 0.7 * (plain(x) - exact).abs().mean()


@needs_exact_int8
def test_a_row_does_not_depend_on_the_rows_beside_it() -> None:
    # Sizes that are no multiple of a vector register, so that a batch's ends fall elsewhere than a row's.
    made, _ = layer(inputs=101, outputs=37)
    x = draw(64, 101, seed=4) * torch.logspace(-3, 3, 64)[:, None]
    together = made(x)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(made(x[order]), together[order])
    assert torch.equal(torch.cat([made(row[None]) for row in x]), together)
    assert torch.equal(made(x.repeat(20, 1))[-64:], together)


@needs_exact_int8
def test_the_answer_has_the_shape_and_type_of_the_question() -> None:
    made, _ = layer()
    x = draw(2, 3, 96).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = made(x)
    assert (found.dtype, found.shape) == (torch.bfloat16, (2, 3, 40))
    assert torch.equal(found, made(x.float()).bfloat16())


@needs_exact_int8
def test_what_is_not_a_number_stays_so() -> None:
    made, _ = layer()
    x = draw(3, 96)
    x[0, 5], x[1, 5] = float("nan"), float("inf")
    found = made(x)
    assert not found[:2].isfinite().any()
    assert found[2].isfinite().all()


@needs_exact_int8
@both_architectures
@pytest.mark.parametrize("head", [True, False])
def test_a_quantized_copy_computes_nearly_what_the_original_does(
    architecture: Architecture, head: bool, tmp_path: Path
) -> None:
    network = load_tiny_model(tmp_path, architecture).network
    before = logprobs_of(network)
    quantized = QuantizedCopy(network, every_row(network), head=head)
    assert 1e-4 < distance(quantized, network) < 0.1
    assert torch.equal(logprobs_of(network), before), "the original is as it was"
    assert not list(linears(quantized.network))
    assert len(list(linears(network))) == 14
    logits = quantized.logits(hidden_of(network))
    assert torch.equal(logits, hidden_of(network) @ head_weight(network).T) != head


@needs_exact_int8
@pytest.mark.parametrize("config", [Qwen2Config(**SHAPE), Gemma3TextConfig(**SHAPE, head_dim=16, sliding_window=4)])
def test_other_architectures_have_quantized_copies_too(config: PretrainedConfig) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config).eval()
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.data.normal_()
    quantized = QuantizedCopy(network, every_row(network), head=True)
    assert 1e-6 < distance(quantized, network) < 0.1


@needs_exact_int8
@both_architectures
def test_everything_but_linear_weights_is_shared(architecture: Architecture, tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path, architecture).network
    quantized = QuantizedCopy(network, every_row(network), head=False)
    theirs = dict([*network.named_parameters(), *network.named_buffers()])
    shared = dict([*quantized.network.named_parameters(), *quantized.network.named_buffers()])
    replaced = {f"model.{name}.weight" for name, _ in linears(network)}
    assert shared.keys() == theirs.keys() - replaced
    assert all(shared[name] is theirs[name] for name in shared)


@needs_exact_int8
@pytest.mark.parametrize("head", [True, False])
def test_a_refresh_takes_over_what_changed_in_place(head: bool, tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path, "qwen3").network
    quantized = QuantizedCopy(network, every_row(network), head=head)
    with torch.no_grad():
        for index, parameter in enumerate(network.parameters()):
            parameter.add_(0.1 * draw(*parameter.shape, seed=index))
    stale = distance(quantized, network)
    quantized.refresh()
    assert distance(quantized, network) < 0.3 * stale


def moved(model: LanguageModel) -> LanguageModel:
    """As after some training of its adapters."""
    with torch.no_grad():
        for index, parameter in enumerate(model.network.parameters()):
            if parameter.requires_grad:
                parameter.add_(0.1 * draw(*parameter.shape, seed=index))
    return model


@needs_exact_int8
@both_architectures
def test_adapters_are_merged(architecture: Architecture, tmp_path: Path) -> None:
    model = attach_lora(load_tiny_model(tmp_path / "adapted", architecture), 4, 8, "all-linear", seed=0)
    quantized = QuantizedCopy(model.network, model.vocabulary, head=False)
    stale = distance(quantized, moved(model).network)
    quantized.refresh()
    assert distance(quantized, model.network) < 0.3 * stale

    plain = load_tiny_model(tmp_path / "plain", architecture).network
    plain.load_state_dict(merged_weights(model.network))
    numbers = {name: quantize_rows(module.weight)[0] for name, module in linears(plain)}
    found = {
        name: module for name, module in quantized.network.base_model.named_modules() if isinstance(module, Int8Linear)
    }
    assert found.keys() == numbers.keys()
    for name, module in found.items():
        kept = module.damping == 1
        rescaled = module.weight[:, kept].double() * module.scale[:, None].double()
        exact = dict(linears(plain))[name].weight[:, kept].double()
        assert (rescaled - exact).abs().max() <= 0.51 * module.scale.max()


def test_int8_is_slower_than_bfloat16_where_there_are_matrix_units() -> None:
    assert has_faster_bfloat16(torch.bfloat16, {"amx_bf16": True})
    assert not has_faster_bfloat16(torch.float32, {"amx_bf16": True})
    assert not has_faster_bfloat16(torch.bfloat16, {"amx_bf16": False})
    assert not has_faster_bfloat16(torch.bfloat16, {})


@pytest.mark.skipif(not torch.cpu.get_capabilities().get("amx_bf16"), reason="this processor has no AMX")
def test_int8_is_refused_where_bfloat16_is_faster(tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path).network
    with pytest.raises(ModelError, match=r"AMX.*engine\.precision"):
        QuantizedCopy(network, every_row(network), head=True, compute_dtype=torch.bfloat16)


@needs_exact_int8
def test_a_quantized_copy_can_be_sampled_under_autocast(tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path).network
    quantized = QuantizedCopy(network, every_row(network), head=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = logprobs_of(quantized.network, quantized.logits)
    assert (found - logprobs_of(network)).abs().mean() < 0.1


def test_other_devices_are_refused(tmp_path: Path) -> None:
    network = load_tiny_model(tmp_path).network.to("meta")
    with pytest.raises(ModelError, match="engine.precision"):
        QuantizedCopy(network, every_row(network), head=False)


@needs_exact_int8
@pytest.mark.parametrize(("int8_s", "is_faster"), [(0.5, True), (0.9, False)])
def test_int8_has_to_earn_its_rounding(int8_s: float, is_faster: bool) -> None:
    ticks = itertools.accumulate(itertools.chain([0.0], [1.0, 0.0] * 6, [int8_s, 0.0] * 6))
    assert int8_is_faster(lambda: next(ticks)) is is_faster
