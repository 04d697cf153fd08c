from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.errors import ConfigError
from verifine.launch.sweep.grid import Axis, Choice, Grid, SweepBase, parse_grid
from verifine.launch.sweep.planned import PlannedRun, extend_runs, plan_runs

TASK = SweepBase(overrides=("data.task=add",))


def plan(*words: str, variants: Sequence[str] = (), folder: Path = Path("/here")) -> tuple[PlannedRun, ...]:
    return plan_runs(parse_grid(TASK, words, variants), folder)


def names(runs: Sequence[PlannedRun]) -> list[str]:
    return [run.name for run in runs]


def test_a_run_is_named_after_what_varies_and_knows_its_variant() -> None:
    runs = plan("algorithm=grpo,dapo", "optim.betas=[0.9,0.95],[0.9,0.99]", "run.seed=0,1")
    assert names(runs[:2]) == ["grpo-betas=0.9,0.95-seed=0", "grpo-betas=0.9,0.99-seed=0"]
    assert [run.variant for run in runs[:2]] == ["grpo betas=[0.9,0.95]", "grpo betas=[0.9,0.99]"]
    assert runs[1].config.optim.betas == (0.9, 0.99)
    assert runs[-1].config.run.seed == 1


def test_where_only_seeds_vary_the_algorithm_is_the_variant() -> None:
    assert [(run.name, run.variant) for run in plan("run.seed=0,1")] == [("seed=0", "grpo"), ("seed=1", "grpo")]


def test_named_variants_give_the_runs_their_names() -> None:
    runs = plan("run.seed=3,4", variants=["base", "No bonus: algorithm.entropy_bonus=0 algorithm=dapo"])
    assert names(runs) == ["base-seed=3", "No-bonus-seed=3", "base-seed=4", "No-bonus-seed=4"]
    assert runs[1].variant == "No bonus"


LABELS = st.lists(st.text(min_size=1, max_size=150), min_size=1, max_size=5, unique=True)


@given(LABELS, LABELS)
def test_names_are_safe_short_and_differ_also_where_case_does_not_count(first: list[str], second: list[str]) -> None:
    rates = iter(range(1, 1000))

    def axis(key: str, labels: list[str]) -> Axis:
        choices = (Choice(label=label, overrides=(f"{key}={next(rates)}e-9",)) for label in labels)
        return Axis(key=key, choices=tuple(choices))

    grid = Grid(base=TASK, axes=(axis("optim.learning_rate", first), axis("algorithm.beta", second)))
    found = names(plan_runs(grid, Path("/here")))
    assert len({name.casefold() for name in found}) == len(first) * len(second)
    assert all(re.fullmatch(r"[A-Za-z0-9_=+,][A-Za-z0-9.,_=+-]{0,104}", name) for name in found)


def test_paths_mean_the_same_from_every_folder(tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    words = ["data.task=null", "data.train=a.jsonl", "data.eval=/b.jsonl", "grader={type: math}", "model=base,hub/name"]
    first, second = plan_runs(parse_grid(SweepBase(), [*words, "model.start_from=runs/x", "run.seed=5"]), tmp_path)
    assert (first.config.data.train, first.config.data.eval) == (tmp_path / "a.jsonl", Path("/b.jsonl"))
    assert first.config.model.start_from == tmp_path / "runs" / "x"
    assert (first.config.model.name, second.config.model.name) == (str(tmp_path / "base"), "hub/name")


def test_a_directory_of_the_base_is_not_that_of_every_run(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data: {task: add}\nrun: {directory: runs/mine}\n")
    runs = plan_runs(parse_grid(SweepBase(file=file), ["run.seed=0,1"]), tmp_path)
    assert {run.config.run.directory for run in runs} == {None}


def test_every_wrong_config_is_named_with_its_runs_and_its_key() -> None:
    with pytest.raises(ConfigError) as caught:
        plan("algorithm.clip_high=0.2,none", "sampling.group_size=0,8", "run.seed=0,1")
    first, second, third = str(caught.value).replace("\n  ", " ").splitlines()
    assert first.startswith("runs clip_high=0.2-group_size=0-seed=0, clip_high=0.2-group_size=0-seed=1: ")
    assert "`sampling.group_size`" in first
    assert "`algorithm.clip_high`" in second
    assert "`sampling.group_size`" in second
    assert third.startswith("runs clip_high=none-group_size=8-seed=0, ")


def test_what_is_wrong_with_all_runs_is_told_without_their_names() -> None:
    with pytest.raises(ConfigError, match=r"^override data.task=ad: "):
        plan_runs(parse_grid(SweepBase(overrides=("data.task=ad",)), ["run.seed=0,1"]), Path("/here"))


def test_two_runs_with_the_same_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="the runs a and b have the same settings"):
        plan(variants=["a", "b: algorithm=grpo"])


def test_a_larger_grid_keeps_the_names_of_the_runs_that_are_there() -> None:
    old = plan("algorithm=grpo,dapo")
    runs = extend_runs(old, plan("algorithm=rloo,grpo,dapo", "run.seed=0,1"))
    assert names(runs) == ["rloo-seed=0", "grpo", "dapo", "rloo-seed=1", "grpo-seed=1", "dapo-seed=1"]
    assert {run.variant for run in runs} == {"rloo", "grpo", "dapo"}


def test_a_new_run_does_not_get_the_name_of_an_old_one() -> None:
    old = [replace(run, name="seed=1") for run in plan("run.seed=0,1")[:1]]
    assert names(extend_runs(old, plan("run.seed=0,1"))) == ["seed=1", "seed=1-2"]


@pytest.mark.parametrize("words", [["run.seed=1,2"], ["run.seed=0,1,2", "optim.warmup_steps=3"]])
def test_a_grid_that_lacks_runs_of_the_old_one_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"lacks .* \(seed=0"):
        extend_runs(plan("run.seed=0,1"), plan(*words))


def test_each_run_of_a_task_has_the_quickstarts_settings_for_its_algorithm(tmp_path: Path) -> None:
    words = ["algorithm.name=grpo,reinforce_pp", "sampling.group_size=4"]
    grpo, reinforce_pp = (run.config for run in plan_runs(parse_grid(SweepBase(task="add"), words), tmp_path))
    assert (grpo.reward.batch_baseline, reinforce_pp.reward.batch_baseline) == (1, 0)
    assert (grpo.algorithm.entropy_bonus, reinforce_pp.algorithm.entropy_bonus) == (0, 0.02)
    assert {grpo.sampling.group_size, reinforce_pp.sampling.group_size} == {4}, "what is given wins"
    (short, _) = plan_runs(parse_grid(SweepBase(task="add"), ["algorithm=reinforce_pp", "run.seed=0,1"]), tmp_path)
    assert short.config.reward.batch_baseline == 0
    words = ["algorithm={name: grpo},{name: ppo}", "run.seed=0"]
    assert [
        run.config.reward.batch_baseline for run in plan_runs(parse_grid(SweepBase(task="add"), words), tmp_path)
    ] == [1, 0]
