from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from verifine.config import RunConfig, dump_config, load_config
from verifine.config.graders import JsonSchemaGraderConfig, MultiGraderConfig, WeightedGraderConfig
from verifine.models.provision.shipped import SHIPPED
from verifine.service.jobs.mapping import JobPlaces, check_job, make_run_config
from verifine.service.jobs.plan import plan_job
from verifine.service.jobs.remote_settings import ELSEWHERE, REMOTE
from verifine.service.jobs.request import CreateJob, read_job
from verifine.service.models.bases import TrainableModel, catalogue_models
from verifine.wire.api_error import ApiError

STRING_CHECK = {
    "type": "string_check",
    "name": "exact",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
PYTHON = {"type": "python", "name": "own", "source": "def grade(sample, item):\n    return 1.0\n"}
SIMILARITY = {
    "type": "text_similarity",
    "name": "near",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "evaluation_metric": "fuzzy_match",
}
MULTI = {
    "type": "multi",
    "name": "both",
    "graders": {"exact": STRING_CHECK, "near": SIMILARITY},
    "calculate_output": "0.5 * exact + 0.5 * near",
}
SCORE_MODEL = {
    "type": "score_model",
    "name": "judge",
    "model": "gpt-4o",
    "input": [{"role": "user", "content": "{{ sample.output_text }}"}],
}
LABEL_MODEL = {**SCORE_MODEL, "type": "label_model", "labels": ["good", "bad"], "passing_labels": ["good"]}
SCHEMA = {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}

TINY = TrainableModel(name="tiny", source="/models/tiny", parameters=1000)
PLACES = JobPlaces(train=Path("/jobs/1/train.jsonl"), eval=Path("/jobs/1/eval.jsonl"), run=Path("/jobs/1/run"))


def body(grader: object = STRING_CHECK, reinforcement: object = None, **fields: Any) -> bytes:
    method = {"type": "reinforcement", "reinforcement": {"grader": grader, **(dict(reinforcement or {}))}}  # type: ignore[call-overload]
    return json.dumps({"model": "tiny", "training_file": "file-a", "method": method, **fields}).encode()


def read(grader: object = STRING_CHECK, reinforcement: object = None, **fields: Any) -> CreateJob:
    request = read_job(body(grader, reinforcement, **fields))
    check_job(request, TINY)
    return request


def config_of(request: CreateJob, rows: int = 400) -> RunConfig:
    return make_run_config(request, TINY, plan_job(request.method.reinforcement.hyperparameters, rows), PLACES)


def refusal(data: bytes) -> tuple[str | None, str | None]:
    """Param and code."""
    with pytest.raises(ApiError) as caught:
        request = read_job(data)
        check_job(request, TINY)
    assert caught.value.status == 400
    return caught.value.body.param, caught.value.body.code


def test_a_job_becomes_a_run_that_can_be_written_and_read(tmp_path: Path) -> None:
    config = config_of(read(seed=7))
    assert config.model.name == "/models/tiny"
    assert (config.data.train, config.data.eval) == (PLACES.train, PLACES.eval)
    assert (config.run.directory, config.run.seed, config.run.steps) == (PLACES.run, 7, 100)
    assert (config.run.eval_interval, config.run.keep_best) == (10, 3)
    assert (config.sampling.prompts_per_step, config.sampling.group_size) == (8, 8)
    assert config.optim.learning_rate == "auto"
    assert config.grader is not None
    assert config.grader.model_dump(exclude_none=True) == STRING_CHECK
    (tmp_path / "config.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    "grader", [STRING_CHECK, PYTHON, SIMILARITY, MULTI, {**MULTI, "graders": [STRING_CHECK, SIMILARITY]}]
)
def test_every_grader_of_openai_s_that_needs_no_judge_is_taken(grader: dict[str, Any]) -> None:
    if isinstance(grader.get("graders"), list):
        grader = {**grader, "calculate_output": "exact + near"}
    config = config_of(read(grader))
    assert config.grader is not None
    assert config.grader.type == grader["type"]


def test_the_learning_rate_is_that_of_the_model_times_the_multiplier() -> None:
    hyperparameters = {"hyperparameters": {"learning_rate_multiplier": 0.5}}
    assert config_of(read(reinforcement=hyperparameters)).optim.learning_rate == pytest.approx(0.5 * 1e-5)
    with_lora = read(reinforcement=hyperparameters, verifine={"model": {"lora": {}}})
    assert config_of(with_lora).optim.learning_rate == pytest.approx(0.5 * 1e-4)


def test_the_learning_rate_of_a_model_that_comes_with_verifine_is_its_own() -> None:
    request = read(reinforcement={"hyperparameters": {"learning_rate_multiplier": 2}})
    plan = plan_job(request.method.reinforcement.hyperparameters, 400)
    config = make_run_config(request, replace(TINY, source="pico"), plan, PLACES)
    assert config.optim.learning_rate == pytest.approx(2 * SHIPPED["pico"].auto_rate)


def test_reasoning_effort_reaches_the_chat_template_beside_other_switches() -> None:
    own = {"model": {"chat_template_kwargs": {"enable_thinking": False}}}
    config = config_of(read(reinforcement={"hyperparameters": {"reasoning_effort": "low"}}, verifine=own))
    assert config.model.chat_template_kwargs == {"reasoning_effort": "low", "enable_thinking": False}
    assert config_of(read()).model.chat_template_kwargs == {}


@pytest.mark.parametrize(
    "form",
    [
        {"type": "json_schema", "json_schema": {"name": "sum", "schema": SCHEMA, "strict": True}},
        {"type": "json_schema", "name": "sum", "schema": SCHEMA, "strict": True},
    ],
)
def test_an_answer_without_the_form_that_was_asked_for_earns_nothing(form: dict[str, Any]) -> None:
    config = config_of(read(reinforcement={"response_format": form}))
    assert config.reward.format_gate
    grader = config.grader
    assert isinstance(grader, WeightedGraderConfig)
    assert grader.weights == {"answer": 1, "response_format": 0}
    judge = grader.graders["response_format"]
    assert isinstance(judge, JsonSchemaGraderConfig)
    assert judge.json_schema == SCHEMA


def test_a_form_joins_the_graders_of_a_formula_and_leaves_it_alone() -> None:
    grader = config_of(read(MULTI, {"response_format": {"type": "json_object"}})).grader
    assert isinstance(grader, MultiGraderConfig)
    assert set(grader.graders) == {"exact", "near", "response_format"}
    assert grader.calculate_output == MULTI["calculate_output"]


def test_text_is_no_form() -> None:
    config = config_of(read(reinforcement={"response_format": {"type": "text"}}))
    assert not config.reward.format_gate
    assert config.grader is not None
    assert config.grader.type == "string_check"


def test_settings_of_ours_reach_the_run() -> None:
    ours = {
        "sampling": {"max_new_tokens": 99, "temperature": 0.7},
        "data": {"eval_size": 5, "system_prompt": "Be brief."},
        "run": {"minutes": 3},
        "evaluation": {"patience": 2},
    }
    config = config_of(read(verifine=ours, reinforcement={"hyperparameters": {"algorithm": "dapo", "group_size": 4}}))
    assert (config.sampling.max_new_tokens, config.sampling.temperature, config.sampling.group_size) == (99, 0.7, 4)
    assert (config.data.eval_size, config.data.system_prompt) == (5, "Be brief.")
    assert (config.run.minutes, config.run.steps, config.evaluation.patience) == (3, 100, 2)
    assert config.algorithm.name == "dapo"


H = "method.reinforcement.hyperparameters"


@pytest.mark.parametrize(
    ("hyperparameters", "field", "code"),
    [
        ({"n_epochs": 0}, "n_epochs", "invalid_value"),
        ({"n_epochs": 51}, "n_epochs", "invalid_value"),
        ({"n_epochs": 1.5}, "n_epochs", "invalid_value"),
        ({"n_epochs": "3"}, "n_epochs", "invalid_value"),
        ({"batch_size": 0}, "batch_size", "invalid_value"),
        ({"batch_size": 257}, "batch_size", "invalid_value"),
        ({"batch_size": True}, "batch_size", "invalid_value"),
        ({"compute_multiplier": 0}, "compute_multiplier", "invalid_value"),
        ({"compute_multiplier": 11}, "compute_multiplier", "invalid_value"),
        ({"learning_rate_multiplier": 0}, "learning_rate_multiplier", "invalid_value"),
        ({"eval_interval": 0}, "eval_interval", "invalid_value"),
        ({"eval_samples": 0}, "eval_samples", "invalid_value"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
        ({"algorithm": "sgd"}, "algorithm", "invalid_value"),
        ({"group_size": 1}, "group_size", "invalid_value"),
        ({"batchsize": 4}, "batchsize", "unknown_parameter"),
    ],
)
def test_a_hyperparameter_out_of_range_is_told_by_its_whole_name(
    hyperparameters: dict[str, Any], field: str, code: str
) -> None:
    assert refusal(body(reinforcement={"hyperparameters": hyperparameters})) == (f"{H}.{field}", code)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"method": None}, "method.type", "unsupported_method"),
        ({"method": {"type": "supervised", "supervised": {}}}, "method.type", "unsupported_method"),
        ({"method": {"type": "dpo"}}, "method.type", "unsupported_method"),
        ({"method": {"type": "reinforcement"}}, "method.reinforcement", "missing_required_parameter"),
        ({"method": "reinforcement"}, "method", "invalid_value"),
        ({"method": {"type": 7}}, "method.type", "invalid_value"),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"training_file": None}, "training_file", "missing_required_parameter"),
        ({"training_file": 5}, "training_file", "invalid_value"),
        ({"suffix": "x" * 65}, "suffix", "invalid_value"),
        ({"suffix": ""}, "suffix", "invalid_value"),
        ({"seed": -1}, "seed", "invalid_value"),
        ({"seed": 2**31}, "seed", "invalid_value"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata", "invalid_value"),
        ({"metadata": {"k" * 65: "x"}}, "metadata." + "k" * 60, "invalid_value"),
        ({"metadata": {"k": "x" * 513}}, "metadata.k", "invalid_value"),
        ({"metadata": {"k": 1}}, "metadata.k", "invalid_value"),
        ({"hyperparameters": {"n_epochs": 3}}, "hyperparameters", "unsupported_parameter"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations", "unsupported_parameter"),
        ({"test_file": "file-b"}, "test_file", "unknown_parameter"),
    ],
)
def test_a_field_that_is_wrong_is_told_by_its_name(fields: dict[str, Any], param: str, code: str) -> None:
    assert refusal(body(**fields)) == (param, code)


G = "method.reinforcement.grader"


@pytest.mark.parametrize(
    ("grader", "param", "code"),
    [
        ({}, G, "invalid_value"),
        ({"type": "magic"}, G, "invalid_value"),
        ({**STRING_CHECK, "operation": "neq"}, f"{G}.operation", "invalid_value"),
        ({**STRING_CHECK, "referense": "x"}, f"{G}.referense", "unknown_parameter"),
        (
            {name: value for name, value in STRING_CHECK.items() if name != "input"},
            f"{G}.input",
            "missing_required_parameter",
        ),
        ({**STRING_CHECK, "input": "{{ nowhere.x }}"}, f"{G}.input", "invalid_value"),
        ({**PYTHON, "source": "x" * 300_000}, f"{G}.source", "invalid_value"),
        ({**MULTI, "calculate_output": "exact + far"}, f"{G}.calculate_output", "invalid_value"),
        ({**MULTI, "calculate_output": "exact +"}, f"{G}.calculate_output", "invalid_value"),
        ({**MULTI, "graders": {"a": MULTI}}, f"{G}.graders.a", "invalid_value"),
        (LABEL_MODEL, f"{G}.type", "invalid_value"),
        (SCORE_MODEL, G, "invalid_grader"),
        ({**MULTI, "graders": {"j": LABEL_MODEL}, "calculate_output": "j"}, f"{G}.graders.j", "invalid_grader"),
        ({**SIMILARITY, "evaluation_metric": "cosine"}, G, "invalid_grader"),
        ({"type": "endpoint", "url": "http://169.254.169.254/"}, G, "invalid_grader"),
    ],
)
def test_a_grader_that_cannot_be_used_is_told_by_the_place_of_its_fault(
    grader: dict[str, Any], param: str, code: str
) -> None:
    assert refusal(body(grader)) == (param, code)


@pytest.mark.parametrize(
    ("ours", "param", "code"),
    [
        ({"model": {"name": "/etc"}}, "verifine.model.name", "invalid_value"),
        ({"model": {"start_from": "/etc"}}, "verifine.model.start_from", "unknown_parameter"),
        ({"data": {"train": "/etc/passwd"}}, "verifine.data.train", "invalid_value"),
        ({"data": {"task": "add"}}, "verifine.data.task", "unknown_parameter"),
        ({"run": {"directory": "/tmp"}}, "verifine.run.directory", "unknown_parameter"),
        ({"grading": {"judge": {"base_url": "http://10.0.0.1/v1"}}}, "verifine.grading", "unknown_parameter"),
        ({"samplig": {}}, "verifine.samplig", "unknown_parameter"),
        ({"sampling": 3}, "verifine.sampling", "invalid_value"),
        ({"sampling": {"group_size": 4}}, "verifine.sampling.group_size", "invalid_value"),
        ({"sampling": {"temperature": -1}}, "verifine.sampling.temperature", "invalid_value"),
        (
            {"evaluation": {"grader": {"type": "endpoint", "url": "http://10.0.0.1/"}}},
            "verifine.evaluation.grader",
            "invalid_grader",
        ),
        ({"algorithm": {"beta": "x"}}, "verifine.algorithm.beta", "invalid_value"),
    ],
)
def test_what_may_not_come_over_the_network_is_refused(ours: dict[str, Any], param: str, code: str) -> None:
    assert refusal(body(verifine=ours)) == (param, code)


def test_two_lengths_of_a_run_are_refused() -> None:
    data = body(reinforcement={"hyperparameters": {"n_epochs": 2}}, verifine={"run": {"steps": 10}})
    assert refusal(data) == ("verifine.run.steps", "invalid_value")
    assert config_of(read(verifine={"run": {"steps": 10}})).run.steps == 10


def test_every_setting_is_either_remote_or_known_to_be_the_machine_s() -> None:
    """A new setting has to be put on one of the two sides."""
    local = {
        ("model", "start_from"),
        ("data", "task"),
        ("run", "directory"),
        ("run", "keep_best"),
        ("grading",),
    }
    for section, field in RunConfig.model_fields.items():
        if (section,) in local or (section,) in ELSEWHERE or REMOTE.get(section, ()) is None:
            continue
        schema = field.annotation
        assert isinstance(schema, type)
        assert issubclass(schema, BaseModel)
        for name in schema.model_fields:
            place = (section, name)
            sides = [name in (REMOTE[section] or ()), place in local, place in ELSEWHERE]
            assert sum(sides) == 1, place


def test_models_are_those_of_the_catalogue_by_short_names() -> None:
    models = catalogue_models()
    assert models["SmolLM2-135M-Instruct"].parameters == 134_515_008
    assert not [name for name in models if "/" in name]
