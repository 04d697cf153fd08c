from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import load_config
from verifine.config.document import parse_document
from verifine.errors import ConfigError
from verifine.launch.quickstart import WIDE
from verifine.launch.sweep.grid import Grid, SweepBase, parse_grid, split_values
from verifine.models.provision.shipped import SHIPPED

KEYS = st.text(max_size=80)
"""YAML takes keys of up to 1,024 characters, and JSON writes up to twelve for one."""

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(min_size=1),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def labels(grid: Grid) -> list[str]:
    return [" ".join(choice.label for choice in (*variant, *seed)) for variant, seed in grid.combinations()]


def overrides(words: Sequence[str], variants: Sequence[str] = ()) -> list[tuple[str, ...]]:
    grid = parse_grid(SweepBase(), words, variants)
    return [
        tuple(override for choice in (*variant, *seed) for override in choice.overrides)
        for variant, seed in grid.combinations()
    ]


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_values_written_as_json_are_found_again(values: list[object]) -> None:
    text = ", ".join(json.dumps(value) for value in values)
    assert [parse_document(each, "value").value for each in split_values(text)] == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("grpo,dapo", ["grpo", "dapo"]),
        ("[0.9,0.95],[0.9,0.99]", ["[0.9,0.95]", "[0.9,0.99]"]),
        ("{rank: 8, alpha: 16},null", ["{rank: 8, alpha: 16}", "null"]),
        ('\'yes, or no\',"a\\",b"', ["'yes, or no'", '"a\\",b"']),
        ("don't,won't", ["don't", "won't"]),
        ("", [""]),
        ("1e-5 , 2e-5", ["1e-5", "2e-5"]),
    ],
)
def test_only_commas_between_values_separate_them(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_every_combination_is_a_run_and_seeds_change_last() -> None:
    words = ["run.seed=0,1", "algorithm=grpo,dapo", "optim.learning_rate=1e-5,2e-5"]
    assert labels(parse_grid(SweepBase(), words)) == [
        f"{algorithm} learning_rate={rate} seed={seed}"
        for seed in (0, 1)
        for algorithm in ("grpo", "dapo")
        for rate in ("1e-5", "2e-5")
    ]
    assert overrides(words)[1] == ("algorithm.name=grpo", "optim.learning_rate=2e-5", "run.seed=0")


def test_a_single_value_holds_for_all_runs() -> None:
    grid = parse_grid(SweepBase(overrides=("run.minutes=5",)), ["run.steps=null", "run.seed=0,1"])
    assert grid.base.overrides == ("run.minutes=5", "run.steps=null")
    assert labels(grid) == ["seed=0", "seed=1"]


def test_variants_are_settings_that_go_together() -> None:
    variants = ["base", "hot: sampling.temperature=1.2 'optim.betas=[0.9, 0.95]'"]
    assert overrides(["run.seed=0,1"], variants) == [
        ("run.seed=0",),
        ("sampling.temperature=1.2", "optim.betas=[0.9, 0.95]", "run.seed=0"),
        ("run.seed=1",),
        ("sampling.temperature=1.2", "optim.betas=[0.9, 0.95]", "run.seed=1"),
    ]


def test_a_variant_may_be_written_on_several_lines() -> None:
    first, second = overrides([], ["a: run.steps=3 \\\n  run.seed=1", "b: run.steps=3\n  run.seed=2"])
    assert first == ("run.steps=3", "run.seed=1")
    assert second == ("run.steps=3", "run.seed=2")


def test_a_variant_may_change_what_the_others_have() -> None:
    assert overrides(["optim.learning_rate=1e-5"], ["a", "b: optim.learning_rate=2e-5"]) == [
        (),
        ("optim.learning_rate=2e-5",),
    ]


def test_keys_with_the_same_last_word_are_written_in_full() -> None:
    words = ["optim.learning_rate=1,2", "algorithm.critic.learning_rate=3,4"]
    assert labels(parse_grid(SweepBase(), words))[0] == "optim.learning_rate=1 algorithm.critic.learning_rate=3"


def test_values_that_look_the_same_in_short_are_numbered() -> None:
    grid = parse_grid(SweepBase(), ["model=here/base,there/base", "run.seed=0,1"])
    assert labels(grid)[:2] == ["base seed=0", "base #2 seed=0"]


@pytest.mark.parametrize(
    ("words", "variants", "named"),
    [
        ([], [], "nothing varies"),
        (["run.steps=3"], [], "nothing varies"),
        (["run.seed=0,0"], [], "run.seed=0,0: 0 is given twice"),
        (["run.seed=0,,1"], [], "run.seed=0,,1: there is no value"),
        (["run.seed=0,1", "run.seed=2"], [], "run.seed is given twice"),
        (["algorithm=grpo,dapo", "algorithm.name=ppo"], [], "algorithm.name is given twice"),
        (["model.lora={},null", "model.lora.rank=8,16"], [], "model.lora.rank is given beside model.lora"),
        (["run.seed=0,1"], ["a: run.seed=3"], "variant 'a': run.seed is given twice"),
        ([], ["a: run.steps=3 run.steps=4"], "variant 'a': run.steps is given twice"),
        ([], ["a", "A: run.steps=3"], "two are called 'a'"),
        ([], ["run.steps=3"], "write a name first"),
        ([], [": run.steps=3"], "write a name first"),
        ([], ["a: 'run.steps=3"], "a quote is not closed"),
        ([], ["a: steps"], "write key.path=value"),
        (["run.seed"], [], "write key.path=value"),
        (["run.seed: 3"], [], "run.seed=3"),
        (["run.directory=a,b"], [], "run.directory=a,b: each run of a sweep gets a directory"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: list[str], variants: list[str], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_grid(SweepBase(), words, variants)
    assert named in str(caught.value)


def test_a_built_in_task_is_taught_with_the_settings_of_the_model() -> None:
    base = SweepBase(task="largest")
    rates = [
        load_config(None, base.overrides_with(words)).optim.learning_rate
        for words in ([], ["model=pico"], ["model.name=pico", "optim.learning_rate=0.5"])
    ]
    assert rates == [WIDE["optim"]["learning_rate"], SHIPPED["pico"].learning_rate, 0.5]
