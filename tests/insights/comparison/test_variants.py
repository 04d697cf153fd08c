from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from verifine.errors import ConfigError
from verifine.insights.comparison.variants import Variant, find_differences, find_variants, settings_of, value_text
from verifine.runs.record import RunRecord
from verifine.types import Json

MakeRun = Callable[..., RunRecord]


def names(*runs: RunRecord) -> list[str]:
    return [variant.name for variant in find_variants(runs)]


def test_runs_that_differ_in_seed_directory_and_memory_are_one_variant(make_run: MakeRun) -> None:
    runs = [
        make_run("a", seed=0),
        make_run("b", seed=1),
        make_run("c", sections={"optim": {"micro_batch_tokens": 64}}),
        make_run("d", sections={"run": {"save_interval": 5, "seed": 7}}),
    ]
    [variant] = find_variants(runs)
    assert variant.name == "grpo"
    assert [run.name for run in variant.runs] == ["a", "b", "c", "d"]
    assert find_differences([variant]) == []


def test_variants_come_in_the_order_of_their_first_runs(make_run: MakeRun) -> None:
    runs = [make_run("a", algorithm="dapo"), make_run("b"), make_run("c", algorithm="dapo", seed=1)]
    found = find_variants(runs)
    assert [(variant.name, [run.name for run in variant.runs]) for variant in found] == [
        ("dapo", ["a", "c"]),
        ("grpo", ["b"]),
    ]


def test_what_follows_from_the_algorithm_is_not_in_its_name_but_in_the_differences(make_run: MakeRun) -> None:
    runs = [
        make_run("a", sections={"algorithm": {"name": "grpo", "clip_high": 0.2}}),
        make_run("b", sections={"algorithm": {"name": "dapo", "clip_high": 0.28}}),
    ]
    assert names(*runs) == ["grpo", "dapo"]
    assert [(row.key, row.values) for row in find_differences(find_variants(runs))] == [
        ("algorithm.name", ("grpo", "dapo")),
        ("algorithm.clip_high", (0.2, 0.28)),
    ]


def test_a_setting_of_the_algorithm_that_differs_within_it_is_named(make_run: MakeRun) -> None:
    runs = [
        make_run("a", sections={"algorithm": {"name": "grpo", "clip_high": 0.2}}),
        make_run("b", sections={"algorithm": {"name": "grpo", "clip_high": 0.3}}),
        make_run("c", sections={"algorithm": {"name": "dapo", "clip_high": 0.3}}),
    ]
    assert names(*runs) == ["grpo clip_high=0.2", "grpo clip_high=0.3", "dapo clip_high=0.3"]


def test_a_difference_outside_the_algorithm_is_never_hidden(make_run: MakeRun) -> None:
    runs = [
        make_run("a", sections={"optim": {"learning_rate": 1e-5}}),
        make_run("b", algorithm="dapo", sections={"optim": {"learning_rate": 2e-6}}),
    ]
    assert names(*runs) == ["grpo learning_rate=1e-5", "dapo learning_rate=2e-6"]


def test_runs_with_advantages_of_a_program_are_a_variant_of_their_own(make_run: MakeRun) -> None:
    plain, other = make_run("a"), make_run("b")
    assert other.environment is not None
    own = replace(other, environment=replace(other.environment, own_advantages="mine"))
    assert names(plain, own) == ["grpo advantages=null", "grpo advantages=mine"]


def test_names_of_sections_and_paths_are_short(make_run: MakeRun) -> None:
    runs = [
        make_run("a", sections={"model": {"name": "HuggingFaceTB/SmolLM2-135M"}}),
        make_run("b", sections={"model": {"name": "/models/a-folder-whose-name-is-far-too-long/"}}),
    ]
    assert names(*runs) == ["grpo model=SmolLM2-135M", "grpo model=a-folder-whose-name-is-…"]


def test_settings_that_end_alike_keep_their_section(make_run: MakeRun) -> None:
    files = {"type": "answer", "compare": "number"}
    runs = [
        make_run("a", sections={"data": {"train": "a.jsonl"}, "grader": files, "run": {"steps": 5}}),
        make_run("b", sections={"data": {"train": "b.jsonl"}, "grader": files, "run": {"steps": 6}}),
    ]
    assert names(*runs) == ["grpo train=a.jsonl steps=5", "grpo train=b.jsonl steps=6"]


def test_many_differences_are_cut_short_and_equal_names_are_numbered(make_run: MakeRun) -> None:
    def run(name: str, stop: int) -> RunRecord:
        sampling = {"group_size": 4, "temperature": 0.5, "prompts_per_step": 2, "max_new_tokens": stop}
        return make_run(name, sections={"sampling": sampling})

    assert names(make_run("a"), run("b", 8), run("c", 9)) == [
        "grpo prompts_per_step=8 group_size=8 max_new_tokens=null …",
        "grpo prompts_per_step=2 group_size=4 max_new_tokens=8 …",
        "grpo prompts_per_step=2 group_size=4 max_new_tokens=9 …",
    ]
    long = "x" * 30
    alike = [make_run(end, sections={"model": {"name": long + end}}) for end in "ab"]
    assert names(*alike) == ["grpo model=" + "x" * 23 + "…", "grpo model=" + "x" * 23 + "… #2"]


def test_a_section_that_one_variant_lacks_differs_in_what_the_other_says(make_run: MakeRun) -> None:
    graded = {"data": {"train": "a.jsonl"}, "grader": {"type": "answer", "compare": "number"}}
    plain = {"data": {"train": "a.jsonl"}}
    rows = find_differences(find_variants([make_run("a", sections=plain), make_run("b", sections=graded)]))
    assert ("grader.type", (None, "answer")) in [(row.key, row.values) for row in rows]
    assert "grader" not in [row.key for row in rows]


def test_settings_are_dotted_and_without_the_seed(make_run: MakeRun) -> None:
    settings = settings_of(make_run("a").config)
    assert settings["sampling.group_size"] == 8
    assert settings["optim.betas"] == [0.9, 0.99]
    assert not {"run.seed", "run.directory", "sampling"} & settings.keys()


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e-5"), (2.5e10, "2.5e+10"), (0.2, "0.2"), ("text", "text"), (True, "true"), ([1], "[1]")],
)
def test_values_are_written_as_people_write_them(value: Json, text: str) -> None:
    assert value_text(value) == text


def test_labels_name_the_variants_in_their_order(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b", algorithm="dapo"), make_run("c", seed=1)]
    assert [variant.name for variant in find_variants(runs, ["Ours", "Theirs"])] == ["Ours", "Theirs"]
    with pytest.raises(ConfigError, match=r"1 label for 2 variants \(grpo, dapo\); give each one a label"):
        find_variants(runs, ["Ours"])
    with pytest.raises(ConfigError, match="same label"):
        find_variants(runs, ["Ours", "Ours"])


def test_numbers_of_the_same_seed_are_averaged(make_run: MakeRun) -> None:
    runs = [make_run("a", seed=4), make_run("b", seed=5), make_run("c", seed=4), make_run("d", seed=6)]
    variant = Variant(name="grpo", runs=tuple(runs))
    assert variant.by_seed([1.0, 5.0, 2.0, None]) == [1.5, 5.0]
