from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from verifine import RunConfig, TrainedRun, resume, train
from verifine.checkpoints.store import CheckpointStore
from verifine.config import LoraConfig, build_config, load_config
from verifine.config.recipes import RECIPES
from verifine.errors import ConfigError, DataError, ModelError
from verifine.insights.card.card import render_card
from verifine.insights.card.subject import CARD, CURVES, CardSubject
from verifine.launch.checking import dry_run
from verifine.launch.input_facts import find_hub_id, find_input_facts, find_licence
from verifine.launch.inputs import load_inputs
from verifine.launch.options import LaunchOptions
from verifine.machine.disk import LOCAL_DISK
from verifine.models.provision.stored import ProvisionedModel
from verifine.runs.directory import RunDirectory
from verifine.runs.record import read_run
from verifine.runs.requests import RunRequest
from verifine.runs.status import Status, find_status
from verifine.testing import save_tiny_model


def write_data(path: Path, rows: int = 24) -> Path:
    lines = [{"messages": [{"role": "user", "content": f"say {i}"}], "gt_answer": str(i)} for i in range(rows)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def own_data(tmp_path: Path, **sections: dict[str, Any]) -> RunConfig:
    values: dict[str, Any] = {
        # auto would measure, and a busy machine might then compute in bfloat16.
        "model": {"name": str(save_tiny_model(tmp_path / "base")), "precision": "float32"},
        "data": {"train": str(write_data(tmp_path / "train.jsonl"))},
        "sampling": {"prompts_per_step": 4, "max_new_tokens": 8},
        "run": {"directory": str(tmp_path / "run"), "steps": 2},
    }
    for section, fields in sections.items():
        values[section] = {**values.get(section, {}), **fields}
    return build_config(values)


def count_vowels(sample: dict[str, Any], item: dict[str, Any]) -> float:
    text = sample["output_text"]
    return sum(character in "aeiou" for character in text) / max(len(text), 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_algorithm_raises_a_tiny_models_reward(name: str, tmp_path: Path) -> None:
    config = own_data(
        tmp_path,
        algorithm={"name": name, "critic": {"learning_rate": 1e-2}} if name == "ppo" else {"name": name},
        sampling={"prompts_per_step": 4, "group_size": 8},
        optim={"learning_rate": 3e-3, "warmup_steps": 0},
        run={"steps": 40},
    )
    run = train(config, grader=count_vowels)
    assert run.summary.baseline is not None
    assert run.summary.baseline.reward is not None
    assert run.summary.final is not None
    assert run.summary.final.reward is not None
    rows = [json.loads(line) for line in run.directory.metrics.read_text().splitlines()]
    first, last = (sum(row["reward"] for row in part) / 5 for part in (rows[:5], rows[-5:]))
    assert first < 0.4
    assert last > 0.7
    assert run.summary.final.reward > run.summary.baseline.reward + 0.4
    assert max(row["mismatch/max"] for row in rows if "mismatch/max" in row) < 1e-3


def test_advantages_of_a_program_are_those_that_are_learned_from(tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    def nothing(rewards: Tensor, valid: Tensor) -> Tensor:
        seen.append((*rewards.shape, *valid.shape))
        return torch.zeros_like(rewards)

    sampling = {"prompts_per_step": 4, "group_size": 2, "max_new_tokens": 8}
    run = train(own_data(tmp_path, sampling=sampling), grader=count_vowels, advantages=nothing).directory
    assert (4, 2, 4, 2) in seen
    metrics = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert ["grad_norm" in row for row in metrics] == [False, False], "where all advantages are 0, there is no update"
    with pytest.raises(ConfigError, match="advantages"):
        resume(run.path, steps=3, grader=count_vowels)
    assert resume(run.path, steps=3, grader=count_vowels, advantages=nothing).summary.progress.step == 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A finished run, to be looked at."""
    return train(own_data(tmp_path_factory.mktemp("finished")), grader=count_vowels)


def test_everything_about_a_run_is_in_its_directory(run: TrainedRun) -> None:
    names = {path.name for path in run.directory.path.iterdir()}
    assert names == {
        "run.json", "config.yaml", "env.json", "preflight.json", "events.jsonl", "heartbeat.json", "metrics.jsonl",
        "rollouts", "eval", "checkpoints", "model", "requests", "report.html", ".lock",
    }  # fmt: skip
    assert "<svg" in run.directory.report.read_text()
    assert run.summary.progress.step == 2


def test_the_model_comes_with_its_card(run: TrainedRun) -> None:
    card = (run.directory.model / CARD).read_text(encoding="utf-8")
    assert (run.directory.model / CURVES).is_file()
    assert card == render_card(read_run(run.directory), CardSubject())
    assert "22 prompts to train on and 2 prompts held out" in card
    assert "a function of the Python program" in card
    assert str(run.directory.path.parent) not in card, "folders of this machine are nobody's business"
    assert "base_model" not in card, "a local folder has no name on the hub"


def test_the_card_has_the_licence_that_the_base_models_card_has(tmp_path: Path) -> None:
    config = own_data(tmp_path)
    (tmp_path / "base" / CARD).write_text("---\nlicense: mit\n---\n# Base\n")
    run = train(config, grader=count_vowels)
    assert "license: mit\n" in (run.directory.model / CARD).read_text(encoding="utf-8")


@pytest.mark.parametrize("written", ["no front matter", "---\nlicense: [a, b]\n---\n", "---\nlicense: {\n---\n", ""])
def test_a_card_of_the_base_model_that_says_no_licence_is_no_obstacle(written: str, tmp_path: Path) -> None:
    (tmp_path / CARD).write_text(written)
    assert find_licence(tmp_path) is None


@pytest.mark.slow
def test_a_run_that_went_on_and_did_not_end_leaves_the_card_of_the_earlier_model(tmp_path: Path) -> None:
    run = train(own_data(tmp_path), grader=count_vowels).directory
    before = (run.model / CARD).read_bytes()
    resume(run.path, steps=4, grader=count_vowels, options=LaunchOptions(request=lambda: RunRequest.PAUSE))
    assert (run.model / CARD).read_bytes() == before
    resume(run.path, grader=count_vowels)
    assert "4 steps" in (run.model / CARD).read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path: Path) -> None:
    def rewards(name: str, seed: int) -> list[float]:
        run = train(own_data(tmp_path, run={"directory": str(tmp_path / name), "seed": seed}), grader=count_vowels)
        return [json.loads(line)["reward"] for line in run.directory.metrics.read_text().splitlines()]

    first = rewards("a", 0)
    assert rewards("b", 0) == first
    assert rewards("c", 1) != first


def test_the_written_config_is_resolved(run: TrainedRun) -> None:
    text = run.directory.config.read_text()
    assert "learning_rate: 1.0e-05" in text
    assert re.search(r"micro_batch_tokens: \d+\n", text)
    assert f"directory: {run.directory.path}" in text


def test_a_kl_penalty_is_measured(tmp_path: Path) -> None:
    config = own_data(tmp_path, algorithm={"beta": 0.1}, optim={"learning_rate": 1e-3, "warmup_steps": 0})
    run = train(config, grader=count_vowels)
    first, second = (json.loads(line)["kl"] for line in run.directory.metrics.read_text().splitlines())
    assert first == pytest.approx(0, abs=1e-6)
    assert second > 1e-5


@pytest.mark.slow
def test_a_tiny_models_reward_rises_with_lora(tmp_path: Path) -> None:
    config = own_data(
        tmp_path,
        model={"lora": {"rank": 4, "alpha": 8}},
        sampling={"prompts_per_step": 4, "group_size": 8},
        optim={"learning_rate": 1e-2, "warmup_steps": 0},
        run={"steps": 40},
    )
    run = train(config, grader=count_vowels)
    rows = [json.loads(line) for line in run.directory.metrics.read_text().splitlines()]
    first, last = (sum(row["reward"] for row in part) / 5 for part in (rows[:5], rows[-5:]))
    assert first < 0.3
    assert last > 0.8
    assert max(row["mismatch/max"] for row in rows if "mismatch/max" in row) < 1e-3


@pytest.mark.slow
def test_a_lora_run_saves_the_merged_model_and_its_adapter(tmp_path: Path) -> None:
    config = own_data(tmp_path, model={"lora": {}}, algorithm={"beta": 0.1}, optim={"warmup_steps": 0})
    run = train(config, grader=count_vowels)
    assert "learning_rate: 0.0001\n" in run.directory.config.read_text()
    assert (run.directory.model / "adapter" / "adapter_model.safetensors").is_file()
    saved = CheckpointStore(run.directory.checkpoints, LOCAL_DISK).newest().checkpoint
    assert saved is not None
    policy = [name for name in saved.tensors if name.startswith("policy/")]
    assert policy, "a checkpoint has the adapters"
    assert all(".lora_" in name for name in policy), "and nothing of the base"
    again = train(
        own_data(tmp_path, model={"name": str(run.directory.model)}, run={"directory": str(tmp_path / "again")}),
        grader=count_vowels,
    )
    assert again.summary.baseline is not None
    assert run.summary.final is not None
    assert again.summary.baseline.reward == run.summary.final.reward
    first, second = (json.loads(line)["kl"] for line in run.directory.metrics.read_text().splitlines())
    assert first == pytest.approx(0, abs=1e-6)
    assert second > 1e-7


def test_a_lora_target_the_model_does_not_have_is_refused_before_training(tmp_path: Path) -> None:
    config = own_data(tmp_path, model={"lora": {"targets": ["query"]}})
    with pytest.raises(ModelError, match="query. It has q_proj, k_proj"):
        train(config, grader=count_vowels)
    assert find_status(RunDirectory(path=tmp_path / "run")).status is Status.FAILED
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_data_without_a_grader_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"grader: missing.*\{type: answer, compare: number\}"):
        train(own_data(tmp_path, model={"name": "nobody/nothing"}))


def test_too_few_examples_for_one_step_are_refused(tmp_path: Path) -> None:
    config = own_data(tmp_path, sampling={"prompts_per_step": 30})
    with pytest.raises(DataError, match="leaves 22 examples to train on, fewer than the 30 of one step"):
        train(config, grader=count_vowels)


def test_a_prompt_that_does_not_fit_is_refused_by_its_example(tmp_path: Path) -> None:
    config = own_data(tmp_path, sampling={"max_new_tokens": 250})
    with pytest.raises(DataError, match=r"train.jsonl line \d+: the prompt has \d+ tokens"):
        train(config, grader=count_vowels)
    assert find_status(RunDirectory(path=tmp_path / "run")).status is Status.FAILED
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_a_dry_run_shows_prompts_and_trains_nothing(tmp_path: Path) -> None:
    config = own_data(tmp_path).model_copy(update={"grader": build_config(GRADED).grader})
    found = dry_run(config)
    assert len(found.prompt_texts) == 2
    assert all(text.startswith("<s>u:say ") for text in found.prompt_texts)
    assert (found.train_examples, found.held_out_examples) == (22, 2)
    assert found.config.optim.learning_rate == 1e-5
    assert not (tmp_path / "run").exists()


GRADED = {"data": {"train": "x.jsonl"}, "grader": {"type": "answer"}}


@pytest.mark.parametrize(
    "algorithm",
    [
        {"name": "grpo", "beta": 0.1},
        {"name": "rloo", "beta": 0.1, "epochs": 2},
        {"name": "reinforce_pp", "beta": 0.1},
        {"name": "ppo", "beta": 0.1, "epochs": 2, "mini_batches": 2},
        {"name": "ppo", "critic": {"kind": "model"}},
        {"name": "gspo", "mini_batches": 4},
        {"name": "grpo", "epochs": 2, "dual_clip": 3, "entropy_bonus": 0.01, "importance_cap": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "lora", [pytest.param(None, id="full"), pytest.param({"rank": 4}, id="lora", marks=pytest.mark.slow)]
)
def test_what_an_algorithm_may_be_told_works_in_a_run(
    algorithm: dict[str, Any], lora: dict[str, Any] | None, tmp_path: Path
) -> None:
    config = own_data(tmp_path, algorithm=algorithm, optim={"learning_rate": 1e-3}, run={"steps": 3})
    config = config.model_copy(update={"model": config.model.model_copy(update={"lora": lora and LoraConfig(**lora)})})
    run = train(config, grader=count_vowels)
    rows = [json.loads(line) for line in run.directory.metrics.read_text().splitlines()]
    updates = algorithm.get("epochs", 1) * algorithm.get("mini_batches", 1)
    # A mini-batch of one group may be without signal.
    assert [row["updates"] + row["update_skipped"] for row in rows] == [updates] * 3
    assert all(row["updates"] >= updates - 1 for row in rows)
    assert ("kl" in rows[0]) == ("beta" in algorithm)
    assert ("critic/explained_variance" in rows[0]) == (algorithm["name"] == "ppo")
    assert ("importance/mean" in rows[0]) == ("importance_cap" in algorithm)
    if updates > 1:
        assert any(row["ratio/max"] > 1 + 1e-4 for row in rows)
    # The resolved config is one that can be read and run again.
    assert load_config(run.directory.config).algorithm.name == algorithm["name"]


def test_a_folder_that_is_gone_is_not_named_as_a_model_of_the_hub(tmp_path: Path) -> None:
    assert find_hub_id("Qwen3-4B") == "Qwen/Qwen3-4B"
    assert find_hub_id("someone/else") == "someone/else"
    assert [find_hub_id(name) for name in (str(tmp_path / "gone"), "~/models/gone", "../gone", "gone")] == [None] * 4


def test_the_system_prompt_of_a_task_is_a_fact_for_the_card(tmp_path: Path) -> None:
    files = ProvisionedModel(name="mine", folder=tmp_path, source="local folder")
    inputs = load_inputs(build_config({"data": {"task": "largest"}, "model": {"name": "mine"}}))
    assert "<answer>" in (find_input_facts(inputs, files).system_prompt or "")
