"""What `verifine jobs create run.yaml` sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from verifine.config import load_config
from verifine.errors import ConfigError
from verifine.models.provision.shipped import SHIPPED
from verifine.service.client.config_request import FIXED, HYPERPARAMETERS, OWN, TOLD, request_job
from verifine.service.inspection.resolved import as_yaml
from verifine.service.jobs.mapping import JobPlaces, check_job, make_run_config
from verifine.service.jobs.plan import plan_job
from verifine.service.jobs.remote_settings import ELSEWHERE
from verifine.service.jobs.request import CreateJob
from verifine.service.models.bases import catalogue_models

CONFIG = """\
model: {name: SmolLM2-135M-Instruct, lora: {rank: 8}}
data: {train: rows.jsonl, eval: held-out.jsonl, columns: {question: prompt}}
grader: {type: answer}
algorithm: {name: DAPO, clip_high: 0.28}
sampling: {prompts_per_step: 16, group_size: 4, max_new_tokens: 64}
optim: {learning_rate: 2.0e-4}
evaluation: {samples: 2}
run: {steps: 7, eval_interval: 3, seed: 11, directory: out}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text)
    return path


def test_each_setting_has_its_place_on_the_wire(tmp_path: Path) -> None:
    request = request_job(load_config(write(tmp_path, CONFIG)))
    reinforcement = request.body["method"]["reinforcement"]
    assert reinforcement["hyperparameters"] == {
        "algorithm": "dapo",
        "batch_size": 16,
        "group_size": 4,
        "eval_interval": 3,
        "eval_samples": 2,
        "learning_rate_multiplier": 2.0,
    }
    assert reinforcement["grader"]["type"] == "answer"
    assert (request.body["model"], request.body["seed"]) == ("SmolLM2-135M-Instruct", 11)
    assert (request.training_file, request.validation_file) == (Path("rows.jsonl"), Path("held-out.jsonl"))
    assert request.left_out == ("run.directory",)
    settings = request.body["verifine"]
    assert settings.keys() == {"model", "data", "algorithm", "sampling", "run"}
    assert settings["run"] == {"steps": 7}
    assert settings["algorithm"] == {"clip_high": 0.28}


def test_the_service_takes_what_is_sent(tmp_path: Path) -> None:
    request = request_job(load_config(write(tmp_path, CONFIG)))
    body: dict[str, Any] = {**request.body, "training_file": "file-1", "validation_file": "file-2"}
    asked = CreateJob.model_validate(body)
    check_job(asked, catalogue_models()[asked.model])


def test_what_is_elsewhere_on_the_wire_is_sent_there() -> None:
    assert {*HYPERPARAMETERS, *TOLD} == {place for place in ELSEWHERE if place != ("grader",)}
    assert not (OWN | FIXED.keys()) & ELSEWHERE.keys()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.start_from=a", "model.start_from"),
        ("grading.workers=3", "grading.workers"),
        ("run.keep_best=2", r"run\.keep_best \(it is 3 for each of its jobs\)"),
        ("data.train=hf://a/b", "data.train"),
        ("data.eval=hf://a/b", "data.eval"),
        ("model.name=./mine", "learning_rate_multiplier"),
    ],
)
def test_what_cannot_be_sent_is_told(tmp_path: Path, override: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        request_job(load_config(write(tmp_path, CONFIG), [override]))


def test_an_evaluation_before_and_after_only_is_sent_as_an_interval_of_the_whole_run(tmp_path: Path) -> None:
    request = request_job(load_config(write(tmp_path, CONFIG), ["run.eval_interval=null"]))
    assert request.body["method"]["reinforcement"]["hyperparameters"]["eval_interval"] == 7
    assert request.left_out == ("run.directory",)


def test_without_a_number_of_steps_a_service_decides_when_it_evaluates(tmp_path: Path) -> None:
    overrides = ["run.eval_interval=null", "run.steps=null", "run.minutes=5"]
    request = request_job(load_config(write(tmp_path, CONFIG), overrides))
    assert "eval_interval" not in request.body["method"]["reinforcement"]["hyperparameters"]
    assert set(request.left_out) == {"run.eval_interval", "run.directory"}


@pytest.mark.parametrize("lora", ["{rank: 8}", "null"])
def test_a_rate_for_a_model_that_comes_with_verifine_is_sent_as_a_multiple(tmp_path: Path, lora: str) -> None:
    pico = SHIPPED["pico"]
    own = pico.auto_rate if lora == "null" else pico.lora_rate
    overrides = ["model.name=pico", f"model.lora={lora}", f"optim.learning_rate={own * 3}"]
    request = request_job(load_config(write(tmp_path, CONFIG), overrides))
    sent = request.body["method"]["reinforcement"]["hyperparameters"]["learning_rate_multiplier"]
    assert sent == pytest.approx(3)


def test_a_config_as_a_service_prints_it_is_sent_as_the_same_job(tmp_path: Path) -> None:
    given = request_job(load_config(write(tmp_path, CONFIG)))
    files: dict[str, Any] = {"training_file": "file-1", "validation_file": "file-2"}
    made = []
    for _ in range(2):
        asked = CreateJob.model_validate({**given.body, **files})
        plan = plan_job(asked.method.reinforcement.hyperparameters, 100)
        places = JobPlaces(train=Path("rows.jsonl"), eval=Path("held-out.jsonl"), run=Path("run"))
        made.append(make_run_config(asked, catalogue_models()[asked.model], plan, places))
        given = request_job(load_config(write(tmp_path, as_yaml(made[-1]))))
    assert made[0] == made[1]
    assert made[0].run.keep_best == 3
