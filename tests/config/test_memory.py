from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import RunConfig, build_config
from verifine.config.memory import (
    ACCELERATED_CACHE_BYTES,
    CACHE_BYTES,
    MAX_TOKENS,
    MAX_TOKENS_ACCELERATED,
    SAFE_SHARE,
    AvailableMemory,
    MemoryNeeds,
    MemoryPlan,
    ModelShape,
    Workload,
    activation_bytes,
    peak_bytes,
    plan_memory,
    resident_bytes,
    update_bytes,
)

GIB = 1 << 30

# SmolLM2-135M.
SMALL = ModelShape(
    parameters=134_515_008, trainable=134_515_008, linear_outputs=155_520, cached_bytes_per_token=46_080,
    head=28_311_552, layers=30, width=576, is_known_decoder=True,
)  # fmt: skip
# A Llama of eight billion weights.
LARGE = ModelShape(
    parameters=8_030_261_248, trainable=8_030_261_248, linear_outputs=32 * 43_008, cached_bytes_per_token=262_144,
    head=525_336_576, layers=32, width=4096, is_known_decoder=True,
)  # fmt: skip


def make_config(tokens: int | str = "auto", **model: Any) -> RunConfig:
    return build_config(
        {
            "data": {"task": "add"},
            "model": {"precision": "float32", **model},
            "sampling": {"max_new_tokens": 256},
            "optim": {"micro_batch_tokens": tokens},
        }
    )


def needs_of(config: RunConfig, shape: ModelShape) -> MemoryNeeds:
    return MemoryNeeds.of(config, shape, precision="float32", max_new_tokens=256)


def plan(config: RunConfig, shape: ModelShape, longest_prompt: int, available: AvailableMemory) -> MemoryPlan:
    return plan_memory(needs_of(config, shape), longest_prompt, available, config.optim.micro_batch_tokens)


def main_memory(gib: float) -> AvailableMemory:
    return AvailableMemory(place="memory", size=round(gib * GIB), is_main=True)


def accelerator(gib: float) -> AvailableMemory:
    return AvailableMemory(place="memory of a GPU", size=round(gib * GIB), is_main=False)


def test_a_small_model_on_a_large_machine_has_as_much_as_is_of_use() -> None:
    budget = plan(make_config(), SMALL, 100, main_memory(64))
    assert budget.micro_batch_tokens == MAX_TOKENS
    assert budget.cache_bytes == CACHE_BYTES
    assert not budget.recompute
    budget = plan(make_config(), SMALL, 100, accelerator(139))
    assert budget.micro_batch_tokens == MAX_TOKENS_ACCELERATED
    assert budget.cache_bytes == ACCELERATED_CACHE_BYTES


def test_what_room_is_left_over_decides_on_a_smaller_machine() -> None:
    # 5 GiB: 0.8 of it less 2.0 GiB for weights, gradients and moments and 0.39 for the program leaves 1.6 GiB, of which
    # logits and the head's gradient take 0.46. At 0.95 MiB a token that is 1229 tokens.
    budget = plan(make_config(), SMALL, 100, main_memory(5))
    assert budget.micro_batch_tokens == 1024
    assert budget.cache_bytes == GIB
    assert not budget.recompute
    assert plan(make_config(), SMALL, 100, main_memory(4)).cache_bytes == GIB // 2


def test_activations_are_computed_again_where_one_rollout_does_not_fit() -> None:
    # 0.8 of 3.7 GiB leave 0.1 GiB for activations: 113 tokens, and a rollout has 356.
    budget = plan(make_config(), SMALL, 100, main_memory(3.7))
    assert budget.recompute
    # Of 100 KiB a token there are many more.
    assert budget.micro_batch_tokens == 1024


@pytest.mark.parametrize("layers", [30, 0])
def test_where_nothing_fits_the_plan_is_the_least_there_can_be(layers: int) -> None:
    budget = plan(make_config(), replace(SMALL, layers=layers), 100, main_memory(1))
    assert (budget.micro_batch_tokens, budget.cache_bytes) == (356, 1)
    assert budget.recompute == (layers > 0)


def test_adapters_leave_room_that_full_training_does_not() -> None:
    shape = replace(LARGE, trainable=41_943_040)
    assert plan(make_config(lora={}), shape, 500, accelerator(80)).micro_batch_tokens == 4096
    full = plan(make_config(), LARGE, 500, accelerator(80))
    assert (full.micro_batch_tokens, full.recompute, full.cache_bytes) == (756, True, 1)


def test_a_critic_of_its_own_takes_from_the_room() -> None:
    config = make_config()
    critic = build_config({**config.model_dump(), "algorithm": {"name": "ppo", "critic": {"kind": "model"}}})
    alone, beside = (plan(each, SMALL, 100, main_memory(8)) for each in (config, critic))
    # 2 GiB for its weights, gradients and moments, and as many activations again.
    assert (alone.micro_batch_tokens, beside.micro_batch_tokens) == (4096, 512)
    assert not beside.recompute


def test_bfloat16_keeps_copies_of_the_weights_and_fewer_activations() -> None:
    config, copy_bytes = make_config(), 2 * SMALL.parameters
    exact, rounded = (
        MemoryNeeds.of(config, SMALL, precision=precision, max_new_tokens=256) for precision in ("float32", "bfloat16")
    )
    # The learner's, and on a processor the engine's.
    assert resident_bytes(rounded, is_main=True)["bfloat16 copies"] == 2 * copy_bytes
    assert resident_bytes(rounded, is_main=False)["bfloat16 copies"] == copy_bytes
    assert "bfloat16 copies" not in resident_bytes(exact, is_main=True)
    assert activation_bytes(rounded, recompute=False) < 0.7 * activation_bytes(exact, recompute=False)
    # transformers casts them for each pass instead, and keeps more.
    foreign = replace(rounded, shape=replace(SMALL, is_known_decoder=False))
    assert "bfloat16 copies" not in resident_bytes(foreign, is_main=True)
    assert update_bytes(foreign) - update_bytes(rounded) == copy_bytes
    assert activation_bytes(foreign, recompute=False) > 2 * activation_bytes(rounded, recompute=False)


def test_what_the_user_chose_stays() -> None:
    for machine in (main_memory(1), main_memory(64)):
        assert plan(make_config(100), SMALL, 100, machine).micro_batch_tokens == 100
        assert plan(make_config(50_000), SMALL, 100, machine).micro_batch_tokens == 50_000


def test_a_little_more_or_less_memory_changes_nothing() -> None:
    assert plan(make_config(), SMALL, 100, main_memory(6)) == plan(make_config(), SMALL, 100, main_memory(6.05))


@given(st.floats(0.1, 200), st.integers(1, 4000), st.booleans())
def test_a_plan_with_room_for_it_fits(gib: float, prompt: int, on_gpu: bool) -> None:
    config = make_config()
    available = accelerator(gib) if on_gpu else main_memory(gib)
    budget = plan(config, SMALL, prompt, available)
    lasting = sum(resident_bytes(needs_of(config, SMALL), is_main=available.is_main).values())
    least = plan(config, SMALL, prompt, replace(available, size=0))
    one_rollout = peak_bytes(needs_of(config, SMALL), Workload(prompt=prompt, answer=256), least)
    if lasting + one_rollout <= SAFE_SHARE * available.size:
        planned = peak_bytes(needs_of(config, SMALL), Workload(prompt=prompt, answer=256), budget)
        assert lasting + planned <= SAFE_SHARE * available.size + 1
    assert budget.micro_batch_tokens >= prompt + 256


def test_frozen_weights_that_are_stored_in_bfloat16_are_held_once_and_in_it() -> None:
    shape = replace(SMALL, parameters=139_400_448, trainable=4_884_480, frozen_linear=106_168_320, is_bfloat16=True)
    config = make_config(lora={})
    exact = MemoryNeeds.of(config, shape, precision="bfloat16", max_new_tokens=256)
    bytes_of = resident_bytes(exact, is_main=False)
    assert bytes_of["weights"] == 4 * 139_400_448 - 2 * 106_168_320
    assert bytes_of["bfloat16 copies"] == 2 * (139_400_448 - 106_168_320)
    # The engine has a copy of its own on a processor.
    assert resident_bytes(exact, is_main=True)["bfloat16 copies"] == 2 * (2 * 139_400_448 - 106_168_320)
    others = (
        replace(exact, precision="float32"),
        replace(exact, shape=replace(shape, is_bfloat16=False)),
        replace(exact, shape=replace(shape, is_known_decoder=False)),
        replace(exact, engine_copy_bytes=139_400_448),
    )
    for needs in others:
        assert resident_bytes(needs, is_main=False)["weights"] == 4 * 139_400_448


def test_frozen_weights_in_few_bits_are_there_once_and_in_them() -> None:
    shape = replace(SMALL, parameters=139_400_448, trainable=4_884_480, frozen_linear=106_168_320, is_bfloat16=True)
    others = 139_400_448 - 106_168_320
    for bits, held in ((8, 1.01), (4, 0.5 + 4 / 64)):
        config = make_config(lora={"base_bits": bits})
        for precision in ("float32", "bfloat16"):
            needs = MemoryNeeds.of(config, shape, precision=precision, max_new_tokens=256)
            weights = resident_bytes(needs, is_main=True)["weights"]
            assert weights == pytest.approx(4 * others + held * 106_168_320, abs=1)
        # The engine samples from them too, and has a copy of the rest alone on a processor.
        assert resident_bytes(needs, is_main=True)["bfloat16 copies"] == 2 * 2 * others
        assert resident_bytes(needs, is_main=False)["bfloat16 copies"] == 2 * others
    foreign = replace(needs, shape=replace(shape, is_known_decoder=False))
    assert update_bytes(foreign) - update_bytes(needs) == 2 * others
