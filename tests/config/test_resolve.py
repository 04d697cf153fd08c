from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from verifine.config import LoraConfig, build_config, dump_config, load_config
from verifine.config.dataset import HubDataset
from verifine.config.memory import AvailableMemory, MemoryPlan, ModelShape
from verifine.config.recipes import RECIPES
from verifine.config.resolve import DataFacts, MachineFacts, ModelFacts, ResolvedConfig, resolve
from verifine.errors import ConfigError

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
MODEL = ModelFacts(name="tiny", shape=SHAPE, context_length=256)
MACHINE = MachineFacts(
    working_directory=Path("/work"),
    memory=AvailableMemory(place="memory", size=16 << 30, is_main=True),
    precision="bfloat16",
)
DATA = DataFacts(answer_tokens=16, longest_prompt=40)
LARGE = replace(MODEL, shape=replace(SHAPE, parameters=1_000_000_000, trainable=1_000_000_000))


def resolved(**sections: Any) -> ResolvedConfig:
    return resolve(build_config({"data": {"task": "add"}, **sections}), MODEL, MACHINE, DATA)


@pytest.mark.parametrize("name", RECIPES)
def test_a_resolved_config_written_as_yaml_loads_back_and_resolves_to_itself(name: str, tmp_path: Path) -> None:
    first = resolved(algorithm={"name": name}, data={"train": "some.jsonl"})
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(first))
    loaded = load_config(file)
    assert loaded == first.to_run_config()
    elsewhere = replace(MACHINE, working_directory=Path("/elsewhere"), precision="float32")
    assert resolve(loaded, LARGE, elsewhere, replace(DATA, answer_tokens=99), memory=first.memory) == first


@pytest.mark.parametrize("name", RECIPES)
def test_nothing_is_left_to_be_decided(name: str) -> None:
    config = resolved(algorithm={"name": name})
    dumped = config.model_dump(mode="json")
    assert dumped["model"]["precision"] == "bfloat16"
    assert dumped["sampling"]["max_new_tokens"] == 16
    assert "auto" not in [*dumped["optim"].values(), *dumped["algorithm"].values()]
    row = RECIPES[name]
    assert (config.algorithm.clip_low, config.algorithm.clip_high) == (row.clip_low, row.clip_high)
    assert (config.reward.overlong_share, config.reward.scaling) == (row.overlong_share, row.scaling)
    assert (config.algorithm.critic is not None) == row.has_critic


@pytest.mark.parametrize("policy", ["rounds", "allocation"])
def test_how_many_answers_a_prompt_gets_is_decided_and_nothing_is_scaled(policy: str) -> None:
    config = resolved(sampling={"group_size": 4, policy: {}})
    assert config.reward.scaling == "none"
    assert (config.sampling.rounds is None) == (policy == "allocation")
    decided = config.sampling.model_dump(mode="json")[policy]
    assert decided == (
        {"until": "positive", "answers": 4, "rounds": 4, "positives": 1}
        if policy == "rounds"
        else {"least": 2, "most": 16}
    )
    again = resolve(config.to_run_config(), MODEL, MACHINE, DATA, memory=config.memory)
    assert again == config


def test_what_the_user_set_stays() -> None:
    config = resolved(
        model={"precision": "float32"},
        algorithm={"name": "ppo", "clip_high": 0.5, "importance_cap": 3, "critic": {"learning_rate": 1e-3}},
        sampling={"max_new_tokens": 99},
        engine={"precision": "int8"},
        optim={"learning_rate": 0.5, "micro_batch_tokens": 7},
        reward={"overlong_share": 0.1},
    )
    assert config.model.precision == "float32"
    assert (config.algorithm.clip_high, config.algorithm.importance_cap) == (0.5, 3)
    assert config.algorithm.critic is not None
    assert config.algorithm.critic.learning_rate == 1e-3
    assert (config.sampling.max_new_tokens, config.optim.learning_rate, config.optim.micro_batch_tokens) == (99, 0.5, 7)
    assert config.reward.overlong_share == 0.1


@pytest.mark.parametrize(
    ("model", "lora", "rate"), [(MODEL, None, 1e-5), (MODEL, {}, 1e-4), (LARGE, None, 1e-6), (LARGE, {}, 1e-5)]
)
def test_the_automatic_learning_rate_is_ten_times_as_much_with_lora(
    model: ModelFacts, lora: dict[str, Any] | None, rate: float
) -> None:
    config = build_config({"data": {"task": "add"}, "model": {"lora": lora}})
    assert resolve(config, model, MACHINE, DATA).optim.learning_rate == rate


@pytest.mark.parametrize(
    ("kind", "lora", "rate", "expected"),
    [
        ("head", None, "auto", 50 * 1e-5),
        ("model", None, "auto", 1e-5),
        ("model", {}, "auto", 1e-5),
        ("head", None, 2e-5, 50 * 2e-5),
        ("model", {}, 2e-5, 1e-5),
    ],
)
def test_a_critics_rate_follows_from_that_of_full_training(
    kind: str, lora: dict[str, Any] | None, rate: float | str, expected: float
) -> None:
    config = build_config(
        {
            "data": {"task": "add"},
            "model": {"lora": lora},
            "algorithm": {"name": "ppo", "critic": {"kind": kind}},
            "optim": {"learning_rate": rate},
        }
    )
    critic = resolve(config, MODEL, MACHINE, DATA).algorithm.critic
    assert critic is not None
    assert critic.learning_rate == pytest.approx(expected)


def test_int8_sampling_is_corrected_for_and_exact_sampling_is_not() -> None:
    assert resolved(engine={"precision": "int8"}).algorithm.importance_cap == 2
    assert resolved().algorithm.importance_cap is None


def test_paths_become_absolute_and_a_dataset_of_the_hub_stays() -> None:
    config = resolved(data={"train": "hf://openai/gsm8k/main", "eval": "eval.csv"}, model={"start_from": "runs/first"})
    assert config.data.train == HubDataset(name="openai/gsm8k", config="main")
    assert config.data.eval == Path("/work/eval.csv")
    assert config.model.start_from == Path("/work/runs/first")


def test_the_checkpoint_that_was_found_stands_in_place_of_its_run() -> None:
    config = build_config({"data": {"task": "add"}, "model": {"start_from": "runs/first"}})
    found = replace(MODEL, start_from=Path("/runs/first/checkpoints/step-3"))
    assert resolve(config, found, MACHINE, DATA).model.start_from == found.start_from


def test_memory_is_divided_as_before_where_a_run_goes_on() -> None:
    kept = MemoryPlan(micro_batch_tokens=77, cache_bytes=5, recompute=True)
    config = resolve(build_config({"data": {"task": "add"}}), MODEL, MACHINE, DATA, memory=kept)
    assert config.memory == kept
    assert config.optim.micro_batch_tokens == 77
    assert "memory" not in dump_config(config)


@pytest.mark.parametrize(
    ("context_length", "given", "longest"),
    [(8192, None, 256), (512, None, 256), (256, None, 128), (1, None, 1), (256, 256, 256), (8192, 7, 7)],
)
def test_the_usual_answer_leaves_half_of_a_small_context_to_the_prompt(
    context_length: int, given: int | None, longest: int
) -> None:
    config = build_config({"data": {"task": "add"}, "sampling": {"max_new_tokens": given}})
    model = replace(MODEL, context_length=context_length)
    facts = DataFacts(answer_tokens=256, longest_prompt=1)
    assert resolve(config, model, MACHINE, facts).sampling.max_new_tokens == longest


@pytest.mark.parametrize("lora", [None, {}])
def test_a_model_may_have_a_rate_of_its_own_which_what_the_config_says_replaces(lora: dict[str, Any] | None) -> None:
    taught = replace(MODEL, learning_rate=0.25)
    for given, wanted in (("auto", 0.25), (0.5, 0.5)):
        config = build_config({"data": {"task": "add"}, "model": {"lora": lora}, "optim": {"learning_rate": given}})
        assert resolve(config, taught, MACHINE, DATA).optim.learning_rate == wanted


def test_a_base_in_few_bits_is_not_quantised_once_more_for_sampling() -> None:
    assert resolved(model={"lora": {"base_bits": 8}}).model.lora == LoraConfig(base_bits=8)
    with pytest.raises(ConfigError, match=r"model\.lora\.base_bits.*engine\.precision"):
        resolved(model={"lora": {"base_bits": 8}}, engine={"precision": "int8"})
