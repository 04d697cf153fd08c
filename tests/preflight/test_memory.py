from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import RunConfig, build_config
from verifine.config.memory import LOGITS_BYTES, AvailableMemory, MemoryNeeds, MemoryPlan, ModelShape
from verifine.errors import ModelError
from verifine.insights.findings import Severity
from verifine.launch.facts import read_model_facts
from verifine.preflight.memory import Lengths, MemoryEstimate, describe_bytes, estimate_memory, judge_memory

SHAPE = ModelShape(
    parameters=1000,
    trainable=1000,
    linear_outputs=100,
    cached_bytes_per_token=64,
    head=200,
    layers=5,
    width=8,
    is_known_decoder=False,
)
PLAN = MemoryPlan(micro_batch_tokens=100, cache_bytes=1 << 30, recompute=False)
GPU = AvailableMemory(place="memory of a GPU", size=1 << 30, is_main=False)
MAIN = AvailableMemory(place="memory", size=1 << 30, is_main=True)
FIXED = LOGITS_BYTES + 2 * 4 * 200
LENGTHS = Lengths(longest_prompt=50, usual_answer=10, longest_answer=20)


def make_config(
    algorithm: dict[str, object] | None = None, lora: dict[str, object] | None = None, precision: str = "float32"
) -> RunConfig:
    return build_config(
        {
            "data": {"task": "add"},
            "model": {"precision": precision, "lora": lora},
            "algorithm": algorithm or {"name": "grpo"},
            "sampling": {"prompts_per_step": 4, "group_size": 8, "max_new_tokens": 20},
            "optim": {"micro_batch_tokens": 100},
        }
    )


def needs_of(config: RunConfig, shape: ModelShape = SHAPE) -> MemoryNeeds:
    assert config.model.precision != "auto"
    return MemoryNeeds.of(config, shape, precision=config.model.precision, max_new_tokens=20)


def estimate(config: RunConfig, shape: ModelShape = SHAPE, plan: MemoryPlan = PLAN) -> MemoryEstimate:
    return estimate_memory(needs_of(config, shape), LENGTHS, plan, GPU)


def test_full_training_keeps_weights_gradients_and_two_moments() -> None:
    assert estimate(make_config()).resident == {"weights": 4000, "gradients": 4000, "AdamW": 8000}


def test_main_memory_holds_the_program_as_well() -> None:
    memory = estimate_memory(needs_of(make_config()), LENGTHS, PLAN, MAIN)
    assert list(memory.resident) == ["the program", "weights", "gradients", "AdamW"]


def test_a_step_keeps_the_activations_of_a_micro_batch() -> None:
    memory = estimate(make_config())
    # 100 tokens of 2.5 numbers for each of 100 outputs, whatever the answers are: a group is split.
    assert memory.step == memory.longest_step == FIXED + 4 * 2.5 * 100 * 100


def test_a_step_keeps_the_activations_of_one_rollout_at_least() -> None:
    memory = estimate(make_config(), plan=replace(PLAN, micro_batch_tokens=1))
    assert memory.step == FIXED + 4 * 2.5 * 100 * (50 + 10)
    assert memory.longest_step == FIXED + 4 * 2.5 * 100 * (50 + 20)


def test_a_step_keeps_the_activations_of_all_its_tokens_at_most() -> None:
    memory = estimate(make_config(), plan=replace(PLAN, micro_batch_tokens=10_000))
    assert memory.step == FIXED + 4 * 2.5 * 100 * 4 * (50 + 8 * 10)


def test_activations_that_are_computed_again_are_those_of_one_layer() -> None:
    memory = estimate(make_config(), plan=replace(PLAN, recompute=True))
    # What goes into each of five layers, 8 numbers, and a fifth of the outputs.
    assert memory.step == FIXED + 4 * (5 * 8 + 2.5 * 100 / 5) * 100
    without_layers = estimate(make_config(), replace(SHAPE, layers=0), replace(PLAN, recompute=True))
    assert without_layers.step == estimate(make_config()).step


def test_adapters_alone_have_gradients() -> None:
    shape = replace(SHAPE, parameters=1100, trainable=100)
    memory = estimate(make_config({"name": "grpo", "beta": 0.1}, lora={}), shape)
    # The reference is the model without its adapters.
    assert memory.resident == {"weights": 4400, "gradients": 400, "AdamW": 800}
    assert memory.step == LOGITS_BYTES + 4 * 4.5 * 100 * 100


@pytest.mark.parametrize(
    ("algorithm", "name", "size"),
    [
        ({"name": "grpo", "beta": 0.1}, "reference", 4000),
        ({"name": "ppo", "critic": {"kind": "model"}}, "critic", 16_000),
    ],
)
def test_copies_of_the_model_take_their_part(algorithm: dict[str, object], name: str, size: int) -> None:
    memory = estimate(make_config(algorithm))
    assert memory.resident[name] == size
    assert set(memory.resident) == {"weights", "gradients", "AdamW", name}


def test_low_precision_keeps_the_weights_once_more() -> None:
    assert estimate(make_config(precision="bfloat16")).step - estimate(make_config()).step == 2000


def test_long_prompts_can_make_sampling_the_larger_part() -> None:
    large = replace(SHAPE, cached_bytes_per_token=100_000)
    # Four prompts of 50 tokens, each with 8 answers of 20; a cache of 1 GiB would hold more.
    assert estimate(make_config(), large).step == max(4 * (50 + 160) * 100_000, estimate(make_config()).step)
    huge = replace(SHAPE, cached_bytes_per_token=10_000_000)
    assert estimate(make_config(), huge).step == 210 * 10_000_000  # one group, though it is more than the cache


@given(st.integers(0, 1000), st.integers(1, 200), st.integers(1, 200))
def test_longer_answers_never_take_less(prompt: int, usual: int, more: int) -> None:
    lengths = Lengths(longest_prompt=prompt, usual_answer=usual, longest_answer=usual + more)
    memory = estimate_memory(needs_of(make_config()), lengths, PLAN, MAIN)
    assert memory.usual <= memory.most


def memory_of(usual: int, most: int, available: int) -> MemoryEstimate:
    weights = {"weights": usual // 2, "gradients": usual // 4}
    rest = usual - sum(weights.values())
    return MemoryEstimate(
        available=replace(MAIN, size=available),
        resident=weights,
        step=rest,
        longest_step=rest + most - usual,
        plan=PLAN,
    )


@pytest.mark.parametrize(
    ("usual", "most", "severity"),
    [(1001, 2000, Severity.BLOCKER), (900, 1500, Severity.WARNING), (800, 851, Severity.WARNING), (800, 850, None)],
)
def test_what_does_not_fit_is_told(usual: int, most: int, severity: Severity | None) -> None:
    findings = judge_memory(memory_of(usual, most, available=1000), make_config())
    assert [finding.severity for finding in findings] == ([] if severity is None else [severity])


def test_the_largest_saving_is_named_first() -> None:
    (full,) = judge_memory(memory_of(4000, 4000, available=1000), make_config())
    assert full.remedies[0].startswith("Train adapters alone (model.lora: {}), or lower sampling.max_new_tokens")
    assert "sampling.group_size or optim.micro_batch_tokens (now 20, 8 and 100)" in full.remedies[0]
    (adapted,) = judge_memory(memory_of(4000, 4000, available=1000), make_config(lora={}))
    assert adapted.remedies[0].startswith("Lower sampling.max_new_tokens")
    assert "adapters" not in adapted.remedies[0]


def test_micro_batches_that_were_chosen_by_the_machine_are_not_for_the_user_to_lower() -> None:
    config = make_config()
    config = config.model_copy(update={"optim": config.optim.model_copy(update={"micro_batch_tokens": "auto"})})
    (finding,) = judge_memory(memory_of(4000, 4000, available=1000), config)
    assert "lower sampling.max_new_tokens or sampling.group_size (now 20 and 8)" in finding.remedies[0]


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows"}')
    with pytest.raises(ModelError, match="cannot be loaded"):
        read_model_facts(tmp_path, "x", None)


def test_sizes_are_told_in_gibibytes() -> None:
    assert [describe_bytes(size) for size in (3 << 30, 1 << 29, 5 << 20)] == ["3.0 GiB", "0.5 GiB", "5 MiB"]
