from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from verifine import RunConfig, train
from verifine.assemble import build_algorithm, gather
from verifine.config import AlgorithmConfig, build_config
from verifine.errors import ConfigError, DataError
from verifine.launch import rehearse
from verifine.testing import save_tiny_model


def write_data(path: Path, rows: int = 24) -> Path:
    lines = [{"messages": [{"role": "user", "content": f"say {i}"}], "gt_answer": str(i)} for i in range(rows)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    return path


def own_data(tmp_path: Path, **sections: dict[str, Any]) -> RunConfig:
    values: dict[str, Any] = {
        "model": {"name": str(save_tiny_model(tmp_path / "base"))},
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
def test_a_tiny_models_reward_rises(tmp_path: Path) -> None:
    config = own_data(
        tmp_path,
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
    assert first < 0.3
    assert last > 0.8
    assert run.summary.final.reward > run.summary.baseline.reward + 0.4
    assert max(row["mismatch/max"] for row in rows if "mismatch/max" in row) < 1e-3


def test_a_run_is_a_directory_that_tells_its_whole_story(tmp_path: Path) -> None:
    run = train(own_data(tmp_path), grader=count_vowels)
    names = {path.name for path in run.directory.path.iterdir()}
    assert names == {
        "config.yaml", "env.json", "events.jsonl", "metrics.jsonl", "rollouts", "eval", "model", "report.html",
    }  # fmt: skip
    assert "<svg" in run.directory.report.read_text()
    assert run.summary.progress.step == 2


def test_the_same_seed_gives_the_same_run_and_another_does_not(tmp_path: Path) -> None:
    def rewards(name: str, seed: int) -> list[float]:
        run = train(own_data(tmp_path, run={"directory": str(tmp_path / name), "seed": seed}), grader=count_vowels)
        return [json.loads(line)["reward"] for line in run.directory.metrics.read_text().splitlines()]

    first = rewards("a", 0)
    assert rewards("b", 0) == first
    assert rewards("c", 1) != first


def test_the_written_config_is_resolved(tmp_path: Path) -> None:
    run = train(own_data(tmp_path), grader=count_vowels)
    text = run.directory.config.read_text()
    assert "learning_rate: 1.0e-05" in text
    assert f"directory: {tmp_path / 'run'}" in text


def test_a_kl_penalty_is_measured(tmp_path: Path) -> None:
    config = own_data(tmp_path, algorithm={"beta": 0.1}, optim={"learning_rate": 1e-3, "warmup_steps": 0})
    run = train(config, grader=count_vowels)
    first, second = (json.loads(line)["kl"] for line in run.directory.metrics.read_text().splitlines())
    assert first == pytest.approx(0, abs=1e-6)
    assert second > 1e-5


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
    assert not (tmp_path / "run").exists()


def test_a_rehearsal_shows_prompts_and_trains_nothing(tmp_path: Path) -> None:
    config = own_data(tmp_path).model_copy(update={"grader": build_config(GRADED).grader})
    rehearsal = rehearse(config)
    assert len(rehearsal.prompt_texts) == 2
    assert all(text.startswith("<s>u:say ") for text in rehearsal.prompt_texts)
    assert (rehearsal.train_examples, rehearsal.held_out_examples) == (22, 2)
    assert rehearsal.config.optim.learning_rate == 1e-5
    assert not (tmp_path / "run").exists()


GRADED = {"data": {"train": "x.jsonl"}, "grader": {"type": "answer"}}


def test_a_tasks_answer_length_is_used_unless_another_is_given() -> None:
    assert gather(build_config({"data": {"task": "largest"}})).config.sampling.max_new_tokens == 16
    longer = build_config({"data": {"task": "largest"}, "sampling": {"max_new_tokens": 99}})
    assert gather(longer).config.sampling.max_new_tokens == 99


def test_an_algorithm_is_its_row_with_what_the_config_changes() -> None:
    dapo = build_algorithm(AlgorithmConfig(name="dapo"))
    assert (dapo.loss.clip_low, dapo.loss.clip_high, dapo.loss.beta) == (0.2, 0.28, 0.0)
    changed = build_algorithm(
        AlgorithmConfig(name="dapo", clip_high=0.4, beta=0.1, overlong_share=0.5, drop_truncated=True)
    )
    assert (changed.loss.clip_low, changed.loss.clip_high, changed.loss.beta) == (0.2, 0.4, 0.1)
    assert (changed.overlong_share, changed.drops_truncated) == (0.5, True)
    assert (dapo.overlong_share, build_algorithm(AlgorithmConfig(name="grpo")).overlong_share) == (0.2, 0.0)
    assert changed.group_filter is dapo.group_filter is not None
