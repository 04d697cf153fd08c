from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from verifine.config import RunConfig, build_config, load_config
from verifine.config.problems import FAMILIAR_NAMES
from verifine.errors import ConfigError


def complaint(values: Mapping[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        build_config({"data": {"task": "add"}, **values})
    return str(caught.value)


def complaint_about_file(path: Path, text: str, *overrides: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_a_group_of_one_is_told_what_a_group_is_for_and_what_to_set() -> None:
    assert complaint({"sampling": {"group_size": 1}}) == (
        "`sampling.group_size` must be at least 2: grpo compares the answers to one prompt with each other; raise it, "
        "or take reinforce_pp or ppo"
    )
    for name in ("reinforce_pp", "ppo"):
        alone = {"sampling": {"group_size": 1}, "algorithm": {"name": name}}
        assert build_config({"data": {"task": "add"}, **alone}).sampling.group_size == 1


def test_every_problem_is_listed_on_one_line_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    text = "data:\n  task: ad\nsampling:\n  stop: [1]\noptim: {lr: 3}\n"
    first, *lines = complaint_about_file(path, text, "run.seed=-1").split("\n  ")
    assert first == f"{path} has 4 problems:"
    assert [line.partition(": ")[0] for line in lines] == [
        f"{path}:2",
        f"{path}:4",
        f"{path}:5",
        "override run.seed=-1",
    ]


def test_a_single_problem_has_no_heading(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    message = complaint_about_file(path, "data: {task: add}\nrun:\n  steps: 0\n")
    assert (
        message
        == f"{path}:3: `run.steps` is 0, but must be at least 1. Training steps; null: as many as `minutes` allow."
    )


def test_a_missing_key_is_told_what_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    assert complaint_about_file(path, "").startswith(f"{path}: `data` is missing. Which prompts it learns from")


@pytest.mark.parametrize(
    ("section", "key", "advice"),
    [
        ("algorithm", "clip_hig", "did you mean `clip_high`?"),
        ("algorithm", "learning_rate", "it belongs under `optim`"),
        ("optim", "lr", "here it is called `optim.learning_rate`"),
        ("run", "sampling", "it belongs at the top level"),
        ("sampling", "compare", "it belongs to a `grader` of type 'answer'"),
        ("model", "zzz", "the keys here are name, precision, start_from, lora, chat_template_kwargs"),
        ("model", "lora_alpha", "here it is called `model.lora.alpha`"),
        ("sampling", "precision", "here it is called `engine.precision`"),
    ],
)
def test_an_unknown_key_is_shown_the_way(section: str, key: str, advice: str) -> None:
    assert complaint({section: {key: 1}}) == f"`{section}.{key}` is unknown; {advice}"


def test_an_unknown_section_is_shown_the_way() -> None:
    assert complaint({"algo": "dapo"}) == "`algo` is unknown; did you mean `algorithm`?"


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(ConfigError, match="Keys should be strings"):
        build_config({"data": {"task": "add"}, 3: 4})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", FAMILIAR_NAMES.values())
def test_names_of_other_programs_lead_to_keys_that_exist(name: str) -> None:
    value: object = []
    for key in reversed(name.split(".")):
        value = {key: value}
    assert isinstance(value, dict)
    assert f"`{name}` is " in complaint(value)
    assert "unknown" not in complaint(value)


@pytest.mark.parametrize("name", FAMILIAR_NAMES)
def test_names_of_other_programs_are_no_keys_of_ours(name: str) -> None:
    assert "`" + name + "` is unknown" in complaint({name: 1})
    assert name not in RunConfig.model_fields


def test_an_unknown_algorithm_or_task_is_shown_the_list_and_the_closest() -> None:
    assert complaint({"algorithm": "gprpo"}) == (
        "`algorithm.name` is 'gprpo', but must be 'grpo', 'dr_grpo', 'dapo', 'rloo', 'reinforce_pp', "
        "'reinforce_pp_baseline', 'ppo', 'gspo' or 'cispo'; did you mean 'grpo'?"
    )
    assert complaint({"data": {"task": "larges"}}) == (
        "`data.task` is 'larges', but must be 'largest', 'add', 'subtract', 'count', 'sort' or 'countdown'; "
        "did you mean 'largest'?"
    )


def test_the_alternatives_of_a_key_are_one_problem() -> None:
    assert complaint({"optim": {"learning_rate": "fast"}}).startswith(
        "`optim.learning_rate` is 'fast', but must be a number or 'auto'. auto: 1e-5"
    )


@pytest.mark.parametrize(
    ("section", "values", "expectation"),
    [
        (
            "sampling",
            {"prompts_per_step": "many"},
            "`sampling.prompts_per_step` is 'many', but must be a whole number.",
        ),
        ("sampling", {"prompts_per_step": 1.5}, "`sampling.prompts_per_step` is 1.5, but must be a whole number."),
        ("sampling", {"temperature": 0}, "`sampling.temperature` is 0, but must be at least 0.01."),
        ("sampling", {"temperature": 5e-324}, "`sampling.temperature` is 5e-324, but must be at least 0.01."),
        ("sampling", {"temperature": 11}, "`sampling.temperature` is 11, but must be at most 10."),
        ("sampling", {"stop": "x"}, "`sampling.stop` is 'x', but must be a list such as [a, b]."),
        ("sampling", {"stop": [True]}, "`sampling.stop[0]` is true, but must be text, so put quotes around it."),
        ("algorithm", {"drop_truncated": "maybe"}, "`algorithm.drop_truncated` is 'maybe', but must be true or false."),
        ("algorithm", {"beta": None}, "`algorithm.beta` is null, but must be a number."),
        ("optim", {"betas": [1, 2, 3]}, "`optim.betas` is [1, 2, 3], but must be at most 2 values."),
        ("data", {"train": 3}, "`data.train` is 3, but must be the path of a file."),
    ],
)
def test_a_wrong_value_is_told_what_should_stand_there(section: str, values: object, expectation: str) -> None:
    assert complaint({section: values}).startswith(expectation)


def test_a_section_that_is_a_plain_value_is_refused() -> None:
    assert complaint({"run": 3}).startswith("`run` is 3, but must be a section of `key: value` lines.")


def test_a_long_value_is_cut_short() -> None:
    message = complaint({"run": {"seed": "9" * 200 + "x"}})
    assert "..." in message
    assert len(message) < 200


@pytest.mark.parametrize(
    ("grader", "message"),
    [
        (
            {"type": "string_check", "input": "a", "reference": "b", "operation": "is"},
            "`grader.operation` is 'is', but must be 'eq', 'ne', 'like' or 'ilike'.",
        ),
        (
            {"type": "string_check", "input": "a", "operation": "eq"},
            "`grader.reference` is missing. What it is compared",
        ),
        ({"type": "answer", "format": 1}, "`grader.format` is unknown; did you mean `format_weight`?"),
        (
            {"type": "answr"},
            "`grader.type` is 'answr', but must be one of 'string_check', 'text_similarity', 'python', 'score_model', ",
        ),
        ({"name": "x"}, "`grader.type` is missing; it is one of 'string_check', 'text_similarity', 'python', "),
        ("answer", "`grader` is 'answer', but must be a section of `key: value` lines."),
        ({"type": "format", "pattern": "("}, "`grader`: `pattern` is not a regular expression"),
        ({"type": "answer", "tag": "<a>"}, "`grader.tag` is '<a>', but must be text that matches ^[A-Za-z]"),
    ],
)
def test_problems_of_a_grader_are_placed_in_the_grader_the_user_wrote(grader: object, message: str) -> None:
    assert complaint({"data": {"train": "a.jsonl"}, "grader": grader}).startswith(message)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        # The names of graders are the user's own, even where they are words of the schema.
        (
            {"graders": {"answer": {"type": "json_schema"}}, "weights": {"answer": 1}},
            "`grader.graders.answer.json_schema` is missing. A JSON Schema",
        ),
        (
            {"graders": {"answer": {"type": "format"}}, "weights": {"answer": 1}},
            "`grader.graders.answer`: give either `pattern` (a regular expression) or `template`",
        ),
        (
            {"graders": {"style": {"type": "format", "pattern": "("}}, "weights": {"style": 1}},
            "`grader.graders.style`: `pattern` is not a regular expression",
        ),
        (
            {"graders": {"graders": {"type": "answer", "tolerence": 1}}, "weights": {"graders": 1}},
            "`grader.graders.graders.tolerence` is unknown; did you mean `tolerance`?",
        ),
        (
            {"graders": {"style": {"type": "weighted"}}, "weights": {"style": 1}},
            "`grader.graders.style.type` is 'weighted', but must be one of 'string_check', 'text_similarity'",
        ),
        (
            {"graders": {"style": {}}, "weights": {"style": 1}},
            "`grader.graders.style.type` is missing; it is one of 'string_check', 'text_similarity', 'python', ",
        ),
        (
            {"graders": {"style": "answer"}, "weights": {"style": 1}},
            "`grader.graders.style` is 'answer', but must be a section of `key: value` lines.",
        ),
        (
            {"graders": ["answer"], "weights": {}},
            "`grader.graders` is ['answer'], but must be a section of `key: value` lines. The graders, each under",
        ),
        (
            {"graders": {"style": {"type": "answer"}}, "weights": {"style": "high"}},
            "`grader.weights.style` is 'high', but must be a number.",
        ),
        (
            {"graders": {"style": {"type": "answer"}}, "weights": {"style": float("inf")}},
            "`grader.weights.style` is inf, but must be a finite number.",
        ),
        (
            {"graders": {"a": {"type": "answer"}, "b-2": {"type": "answer"}}, "weights": {"a": 1, "c": 1}},
            "`grader`: `weights.b-2` is missing and `weights.c` is unknown; give each of a, b-2 a weight, and no other",
        ),
        ({"graders": {}, "weights": {}}, "`grader`: `graders` is empty; give it at least one grader"),
        ({"graders": {"a": {"type": "answer"}}}, "`grader.weights` is missing."),
    ],
)
def test_problems_of_a_weighted_grader_name_the_grader_inside(values: Mapping[str, object], message: str) -> None:
    config = {"data": {"train": "a.jsonl"}, "grader": {"type": "weighted", **values}}
    assert complaint(config).startswith(message)


def test_problems_of_a_weighted_grader_stand_at_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    text = (
        "data: {train: a.jsonl}\ngrader:\n  type: weighted\n  graders:\n"
        "    style: {type: format, pattern: x}\n    right:\n      type: answer\n      tolerance: -1\n"
        "  weights:\n    style: 0.2\n    right: much\n"
    )
    first, *lines = complaint_about_file(path, text).split("\n  ")
    assert first == f"{path} has 2 problems:"
    assert lines[0].startswith(f"{path}:8: `grader.graders.right.tolerance` is -1, but must be at least 0.")
    assert lines[1].startswith(f"{path}:11: `grader.weights.right` is 'much', but must be a number.")


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"rank": 0}, "`model.lora.rank` is 0, but must be at least 1."),
        ({"targets": "q_proj"}, "`model.lora.targets` is 'q_proj', but must be 'all-linear' or a list such as [a, b]."),
        ({"targets": []}, "`model.lora.targets` is [], but must be 'all-linear' or a list of at least 1."),
        ({"dropout": 0.1}, "`model.lora.dropout` is unknown; the keys here are rank, alpha, rslora, targets"),
        (True, "`model.lora` is true, but must be a section of `key: value` lines. Train LoRA adapters only"),
    ],
)
def test_problems_of_lora_are_placed_in_its_section(lora: object, message: str) -> None:
    assert complaint({"model": {"lora": lora}}).startswith(message)


def test_a_rule_of_a_section_points_at_the_line_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    message = complaint_about_file(path, "data: {task: add}\nalgorithm:\n  name: grpo\n  critic: {}\n")
    assert message.startswith(f"{path}:4: `algorithm`: `critic` belongs to ppo")


def test_a_rule_across_sections_points_at_the_line_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    text = "data: {task: add}\ngrader:\n  type: answer\n"
    assert complaint_about_file(path, text).startswith(f"{path}:2: `grader` belongs to `data.train`")
