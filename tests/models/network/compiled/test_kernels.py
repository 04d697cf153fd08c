"""The compiled kernels, held to what torch computes."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from verifine.models.network.attention import Heads
from verifine.models.network.compiled.kernels import TYPES, Kernels, find_kernels
from verifine.models.network.decoder import Angles, DecoderLayer, Norm
from verifine.models.network.inference_layer import TorchOperations
from verifine.rollout.native.choose import Draws, choose_in_torch
from verifine.rollout.native.compiled_step import CompiledStep
from verifine.rollout.native.decode_step import DecodeStep, PlacedPrompt, PlacedRow
from verifine.rollout.native.places import BandKey, Place, PlaceStore, ReadTokens
from verifine.rollout.native.places import Item as PlacedItem

CPU = torch.device("cpu")
TOLERANCES = {torch.float32: 2e-6, torch.bfloat16: 2e-2}
"""Relative to the largest number; bfloat16 has 8 bits, and torch rounds more than once."""

has_compiler = pytest.mark.skipif(
    platform.system() != "Linux" or not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no C++ compiler"
)
pytestmark = has_compiler
every_type = pytest.mark.parametrize("dtype", TYPES)


@pytest.fixture
def kernels() -> Kernels:
    found = find_kernels()
    assert found is not None, "there is a compiler, so there are kernels"
    return found


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def norm(width: int, seed: int = 7) -> Norm:
    return Norm(gain=nn.Parameter(drawn(width, seed=seed)), epsilon=1e-5)


def assert_close(found: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    assert found.dtype == wanted.dtype
    largest = wanted.float().abs().max().clamp(min=1e-9)
    assert ((found.float() - wanted.float()).abs().max() / largest).item() < TOLERANCES[dtype]


def layer(query_heads: int, key_heads: int, size: int, *, has_norms: bool) -> DecoderLayer:
    nothing = nn.Identity()
    return DecoderLayer(
        index=0,
        input_norm=norm(4),
        queries=nothing,
        keys=nothing,
        values=nothing,
        query_norm=norm(size, 1) if has_norms else None,
        key_norm=norm(size, 2) if has_norms else None,
        output=nothing,
        middle_norm=norm(4),
        gate=nothing,
        up=nothing,
        down=nothing,
        query_heads=query_heads,
        key_heads=key_heads,
        scale=size**-0.5,
        window=None,
    )


@every_type
@pytest.mark.parametrize(("rows", "width"), [(1, 576), (3, 48), (200, 577)])
@pytest.mark.parametrize("adds", [False, True])
def test_adding_and_normalising(kernels: Kernels, dtype: torch.dtype, rows: int, width: int, adds: bool) -> None:
    hidden, added = drawn(rows, width), drawn(rows, width, dtype=dtype, seed=1) if adds else None
    ours, theirs = hidden.clone(), hidden.clone()
    for result in (dtype, torch.float32):
        found = kernels.add_and_normalise(ours, added, norm(width), result)
        wanted = TorchOperations().add_and_normalise(theirs, added, norm(width), result)
        assert torch.equal(ours, theirs)
        assert_close(found, wanted, dtype)


@every_type
@pytest.mark.parametrize("size", [8, 64, 128])
@pytest.mark.parametrize("has_norms", [False, True])
def test_turning_heads(kernels: Kernels, dtype: torch.dtype, size: int, has_norms: bool) -> None:
    of_layer, rows = layer(6, 2, size, has_norms=has_norms), 5
    angles = drawn(rows, size // 2, seed=3).repeat(1, 2)
    both = Angles.of(angles.cos(), angles.sin())
    projected = drawn(rows, 10 * size, dtype=dtype)
    wanted = TorchOperations().turn(projected.clone(), of_layer, both)
    for found, other in zip(kernels.turn(projected, of_layer, both), wanted, strict=True):
        assert_close(found, other, dtype)


@every_type
def test_swiglu(kernels: Kernels, dtype: torch.dtype) -> None:
    gate_up = drawn(37, 2 * 100, dtype=dtype) * 5
    gate_up[0, :4] = torch.tensor([-1e4, 1e4, -87.5, 89.0])
    assert_close(kernels.swiglu(gate_up), TorchOperations().swiglu(gate_up), dtype)


@pytest.mark.parametrize("run", [0, 1, 2])
def test_what_is_not_a_number_stays_so(kernels: Kernels, run: int) -> None:
    """A broken weight has to be seen where the answers are looked at."""
    broken = drawn(2, 64)
    broken[1, 3] = float("nan")
    works: list[Callable[[], Tensor]] = [
        lambda: kernels.add_and_normalise(broken, None, norm(64), torch.bfloat16),
        lambda: kernels.swiglu(broken.bfloat16()),
        lambda: kernels.multiply(broken.bfloat16(), kernels.pack(drawn(48, 64).bfloat16()), None),
    ]
    if run == 2 and not kernels.multiplies(48, 64):
        pytest.skip("this processor has no bfloat16 products")
    result = works[run]()
    assert result[1].isnan().any()
    assert result[0].isfinite().all()


# ---- products ----


@pytest.fixture
def multiplying(kernels: Kernels) -> Kernels:
    if not kernels.multiplies(48, 64):
        pytest.skip("this processor has no bfloat16 products, or better ones")
    return kernels


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 31, 97, 200])
@pytest.mark.parametrize(("outputs", "inputs"), [(1, 2), (48, 64), (100, 576), (577, 30)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_products(multiplying: Kernels, rows: int, outputs: int, inputs: int, has_bias: bool) -> None:
    left, weight = drawn(rows, inputs).bfloat16(), drawn(outputs, inputs, seed=1).bfloat16()
    bias = drawn(outputs, seed=2).bfloat16() if has_bias else None
    exact = left.double() @ weight.double().T + (0 if bias is None else bias.double())
    found = multiplying.multiply(left, multiplying.pack(weight), bias)
    assert found.shape == exact.shape
    # One rounding to 8 bits, and float32 sums.
    assert ((found.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-5 * inputs).all()


@pytest.mark.parametrize("has_bias", [False, True])
def test_gated_products(multiplying: Kernels, has_bias: bool) -> None:
    left = drawn(19, 64).bfloat16()
    gate, up = drawn(100, 64, seed=1).bfloat16(), drawn(100, 64, seed=2).bfloat16()
    biases = (drawn(100, seed=3).bfloat16(), drawn(100, seed=4).bfloat16()) if has_bias else (None, None)
    exact_gate, exact_up = (
        left.double() @ weight.double().T + (0 if bias is None else bias.double())
        for weight, bias in zip((gate, up), biases, strict=True)
    )
    exact = nn.functional.silu(exact_gate) * exact_up
    found = multiplying.multiply_gated(left, multiplying.pack(gate), multiplying.pack(up), biases)
    assert ((found.double() - exact).abs() <= exact.abs() * 2**-8 + 1e-3).all()


def test_a_row_is_the_same_whatever_is_computed_with_it(multiplying: Kernels) -> None:
    weight = multiplying.pack(drawn(100, 576).bfloat16())
    rows = drawn(203, 576, seed=1).bfloat16()
    threads = torch.get_num_threads()
    together = multiplying.multiply(rows, weight, None)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(multiplying.multiply(rows, weight, None), together)
    finally:
        torch.set_num_threads(threads)
    for first, last in ((0, 1), (5, 6), (90, 105), (201, 203)):
        assert torch.equal(multiplying.multiply(rows[first:last], weight, None), together[first:last])


# ---- attention ----


def store_with(rows: list[PlacedItem]) -> tuple[PlaceStore, list[Place]]:
    store = PlaceStore(1 << 20)
    return store, store.arrange(rows, in_order=True)


@every_type
@given(
    seed=st.integers(0, 10_000),
    own=st.lists(st.integers(0, 70), min_size=1, max_size=6),
    prompts=st.lists(st.integers(1, 140), min_size=1, max_size=3),
    size=st.sampled_from([8, 64, 128]),
    shared=st.integers(1, 5),
    key_heads=st.integers(1, 2),
    window=st.sampled_from([None, 1, 7, 90]),
)
def test_attention_is_that_of_torch(
    dtype: torch.dtype,
    seed: int,
    own: list[int],
    prompts: list[int],
    size: int,
    shared: int,
    key_heads: int,
    window: int | None,
) -> None:
    """Rows of some prompts, and rows that read none, each with so many tokens of its own."""
    kernels = find_kernels()
    assert kernels is not None
    read = tuple(drawn(key_heads, 300, size, dtype=dtype, seed=seed + each) for each in range(2))

    def item(band: BandKey, tokens: int, first: int) -> PlacedItem:
        positions = torch.arange(first, first + tokens)
        return PlacedItem(band=band, source=ReadTokens(read, positions) if tokens else None, tokens=tokens)

    # The last prompt's place is for rows without one: they own what they would have shared.
    of_row = [index % (len(prompts) + 1) for index in range(len(own))]
    items = [item(BandKey(is_prompt=True, tokens=256), tokens, 3 * index) for index, tokens in enumerate(prompts)]
    items += [item(BandKey(is_prompt=False, tokens=128), max(tokens, 1), index) for index, tokens in enumerate(own)]
    places: dict[str, list[Place]] = {}
    stores: dict[str, PlaceStore] = {}
    for name in ("ours", "theirs"):
        stores[name], places[name] = store_with(items)
    placed_prompts = [
        PlacedPrompt(place=place, tokens=tokens) for place, tokens in zip(places["ours"], prompts, strict=False)
    ]
    rows = [
        PlacedRow(
            place=places["ours"][len(prompts) + index],
            tokens=max(tokens, 1),
            prompt=placed_prompts[of_row[index]] if of_row[index] < len(prompts) else None,
        )
        for index, tokens in enumerate(own)
    ]
    heads = Heads(
        layer=0,
        query=drawn(key_heads * shared, len(rows), size, dtype=dtype, seed=seed + 2),
        key=drawn(key_heads, len(rows), size, dtype=dtype, seed=seed + 3),
        value=drawn(key_heads, len(rows), size, dtype=dtype, seed=seed + 4),
        scale=size**-0.5,
        window=window,
    )
    found = CompiledStep(kernels, rows).attend(heads, stores["ours"])
    wanted = DecodeStep.of(rows, CPU).attend(heads, stores["theirs"])
    assert_close(found, wanted, dtype)
    for band in {row.place.band for row in rows}:
        for ours, theirs in zip(stores["ours"].layer(band, 0), stores["theirs"].layer(band, 0), strict=True):
            assert torch.equal(ours, theirs)


# ---- draws ----


@every_type
@given(
    seed=st.integers(0, 10_000),
    vocabulary=st.integers(1, 1_500),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 2.0]),
)
def test_a_draw_is_that_of_torch(dtype: torch.dtype, seed: int, vocabulary: int, temperature: float) -> None:
    kernels = find_kernels()
    assert kernels is not None
    logits = (4 * drawn(3, vocabulary, seed=seed)).to(dtype)
    rows = torch.randint(3, (20,), generator=torch.Generator().manual_seed(seed))
    uniforms = torch.rand(20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tokens, logprobs = kernels.draw(logits, rows, uniforms, temperature)
    theirs = choose_in_torch(logits, Draws(rows=rows, uniforms=uniforms), temperature, 1.0)
    if temperature == 0:
        assert torch.equal(tokens, theirs[0])
        torch.testing.assert_close(logprobs, theirs[1], rtol=1e-5, atol=1e-5)
        return
    exact = torch.softmax(logits.double() / temperature, dim=-1)
    for row, token, uniform, logprob in zip(rows, tokens, uniforms, logprobs, strict=True):
        before = exact[row, :token].sum()
        assert before - 1e-6 <= uniform <= before + exact[row, token] + 1e-6
        torch.testing.assert_close(logprob.double(), exact[row, token].log(), rtol=1e-5, atol=1e-5)


def test_what_is_impossible_is_never_drawn(kernels: Kernels) -> None:
    logits = torch.full((1, 1000), -1e9)
    logits[0, [300, 900]] = 0.0
    uniforms = torch.tensor([0.0, 0.49, 0.51, 1 - 2**-53], dtype=torch.float64)
    tokens, _ = kernels.draw(logits, torch.zeros(4, dtype=torch.long), uniforms, 1.0)
    assert tokens.tolist() == [300, 300, 900, 900]


def test_a_draw_from_what_is_not_a_number_is_seen_in_its_logprob(kernels: Kernels) -> None:
    logits = drawn(1, 700)
    logits[0, 5] = float("nan")
    tokens, logprobs = kernels.draw(logits, torch.tensor([0]), torch.tensor([0.5], dtype=torch.float64), 1.0)
    assert 0 <= tokens.item() < 700
    assert logprobs.isnan().all()
