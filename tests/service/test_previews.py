"""A request for a job, before it is made: what it comes to, and what the model answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from verifine.config import load_config
from verifine.testing import save_tiny_model
from verifine.testing.models import CHAT_TEMPLATE, with_chat_template

GRADER = {"type": "python", "name": "own", "source": "def grade(sample, item):\n    return item['n'] / 10\n"}


@pytest.fixture
def asked(client: openai.OpenAI) -> dict[str, Any]:
    def upload(numbers: range, name: str) -> str:
        made = [{"messages": [{"role": "user", "content": f"Largest of {n}, {2 * n}"}], "n": n} for n in numbers]
        content = "".join(json.dumps(row) + "\n" for row in made).encode()
        return client.files.create(file=(name, content), purpose="fine-tune").id

    return {
        "model": "tiny",
        "training_file": upload(range(1, 9), "mine.jsonl"),
        "validation_file": upload(range(20, 22), "theirs.jsonl"),
        "method": {
            "type": "reinforcement",
            "reinforcement": {"grader": GRADER, "hyperparameters": {"batch_size": 2, "n_epochs": 1}},
        },
        "verifine": {"sampling": {"max_new_tokens": 4}, "model": {"precision": "float32"}},
    }


@pytest.mark.slow
def test_a_request_is_resolved_and_shown_in_each_form(
    http: httpx2.Client, asked: dict[str, Any], tmp_path: Path
) -> None:
    save_tiny_model(tmp_path / "tiny")
    answer = http.post("/api/resolve", params={"count": 2}, json=asked, timeout=120)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["rows"], found["held_out"], found["steps"], found["steps_per_epoch"]) == (8, 2, 4, 4.0)
    assert found["hyperparameters"]["batch_size"] == 2
    assert found["config"]["optim"]["learning_rate"] == 1e-5
    assert found["config"]["sampling"]["max_new_tokens"] == 4
    assert 0 < found["memory"]["usual"] <= found["memory"]["most"]
    assert "Largest of 1, 2" in found["shown"][0]["text"]
    assert found["shown"][0]["tokens"] > 0
    path = tmp_path / "run.yaml"
    path.write_text(found["yaml"])
    config = load_config(path)
    assert (config.model.name, config.data.train, config.data.eval) == (
        "tiny",
        Path("mine.jsonl"),
        Path("theirs.jsonl"),
    )
    assert found["command"].startswith("verifine train ")
    assert "mine.jsonl" in found["python"]
    assert asked["training_file"] in found["curl"]
    assert [name for name, value in found.items() if str(tmp_path) in json.dumps(value)] == []
    assert not list((tmp_path / "reading").glob("*"))


@pytest.mark.slow
def test_the_model_is_tried_on_rows(http: httpx2.Client, asked: dict[str, Any], tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "tiny")
    answer = http.post("/api/trial", params={"row": [0, 3], "samples": 2}, json=asked, timeout=120)
    assert answer.status_code == 200, answer.text
    answers = answer.json()["answers"]
    assert [each["row"] for each in answers] == [0, 0, 3, 3]
    assert all("Largest of" in each["prompt"] for each in answers)


@pytest.mark.slow
def test_a_check_says_how_long_it_will_take(http: httpx2.Client, asked: dict[str, Any], tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "tiny")
    answer = http.post("/api/check", params={"rows": 2}, json=asked, timeout=120)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["verdict"] in ("go", "go_with_warnings")
    time = found["time"]
    for part in (time["step"], time["evaluation"], time["total"]):
        assert 0 < part["low"] <= part["high"]
    assert time["total"]["high"] > 4 * time["step"]["low"]
    assert found["numbers"]["sampling"]["prompts"] == 2
    assert found["numbers"]["memory"]["lasting"].keys() >= {"weights"}
    assert str(tmp_path) not in answer.text


@pytest.mark.slow
def test_a_check_names_the_file_as_its_owner_does(http: httpx2.Client, asked: dict[str, Any], tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "tiny")
    asked["method"]["reinforcement"]["grader"] = {
        "type": "string_check",
        "input": "{{ sample.output_text }}",
        "reference": "{{ item.nothing }}",
        "operation": "eq",
        "name": "own",
    }
    answer = http.post("/api/check", json=asked, timeout=120)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["verdict"], answer.json()["time"]) == ("no_go", None)
    assert "mine.jsonl" in answer.text
    assert "training_file" not in answer.text


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ("row=-1", "row", "invalid_value"),
        ("", "row", "missing_required_parameter"),
        ("row=0&samples=0", "samples", "invalid_value"),
    ],
)
def test_a_wrong_parameter_is_called_by_its_name(http: httpx2.Client, query: str, param: str, code: str) -> None:
    error = http.post(f"/api/trial?{query}", json={}).json()["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert f'"{param}" is' in error["message"]


@pytest.mark.parametrize("path", ["/api/resolve", "/api/check", "/api/trial?row=0"])
@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "nothing"}, 404, "model"),
        ({"training_file": "file-nothing"}, 400, "training_file"),
        ({"verifine": {"run": {"directory": "/tmp"}}}, 400, "verifine.run.directory"),
        ({"method": {"type": "dpo"}}, 400, "method.type"),
    ],
)
def test_a_request_that_cannot_become_a_job_is_refused_likewise(
    http: httpx2.Client, asked: dict[str, Any], path: str, change: dict[str, Any], status: int, param: str
) -> None:
    answer = http.post(path, json={**asked, **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/api/check", "/api/resolve", "/api/trial?row=0"])
def test_the_model_is_called_by_its_name_and_files_as_their_owner_does(
    http: httpx2.Client, asked: dict[str, Any], tmp_path: Path, path: str
) -> None:
    thinking = CHAT_TEMPLATE + "{% if add_generation_prompt %}<think></think>{% endif %}"
    with_chat_template(save_tiny_model(tmp_path / "tiny"), thinking)
    answer = http.post(path, json=asked, timeout=120)
    assert answer.status_code == 200, answer.text
    assert str(tmp_path) not in answer.text
    if path == "/api/check":
        assert "The chat template of tiny writes the beginning of each answer." in answer.text
    (tmp_path / "tiny" / "model.safetensors").write_bytes(b"broken")
    (tmp_path / "tiny" / "tokenizer.json").write_text("{")
    refused = http.post(path, json=asked | {"seed": 3}, timeout=120)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "cannot_be_trained")
    assert str(tmp_path) not in refused.text


@pytest.mark.slow
def test_a_model_that_is_not_there_is_told_without_a_path(
    http: httpx2.Client, asked: dict[str, Any], tmp_path: Path
) -> None:
    answer = http.post("/api/resolve", json=asked, timeout=120)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "cannot_be_trained")
    assert str(tmp_path / "reading") not in answer.text
