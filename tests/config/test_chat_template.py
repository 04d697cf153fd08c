from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from verifine.config import build_config, dump_config, load_config
from verifine.errors import ConfigError


def values_of(*overrides: str) -> dict[str, Any]:
    return dict(load_config(None, ["data.task=add", *overrides]).model.chat_template_kwargs)


@pytest.mark.parametrize(
    ("override", "values"),
    [
        ("model.chat_template_kwargs={enable_thinking: false}", {"enable_thinking": False}),
        (
            'model.chat_template_kwargs={"reasoning_effort": "low", "budget": 1e3}',
            {"reasoning_effort": "low", "budget": 1e3},
        ),
        ("model.chat_template_kwargs.enable_thinking=true", {"enable_thinking": True}),
        ("model.chat_template_kwargs={a: [1, {b: null}]}", {"a": [1, {"b": None}]}),
        ("model.chat_template_kwargs={}", {}),
        # YAML 1.2: a text, not a truth value.
        ("model.chat_template_kwargs={a: no}", {"a": "no"}),
    ],
)
def test_values_are_json_of_any_form(override: str, values: dict[str, Any]) -> None:
    assert values_of(override) == values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"messages": []}, "cannot set messages, which is filled in for every chat"),
        ({"tools": []}, "cannot set tools"),
        ({"documents": []}, "cannot set documents"),
        ({"add_generation_prompt": False}, "cannot set add_generation_prompt"),
        ({"continue_final_message": True}, "cannot set continue_final_message"),
        ({"tokenize": False}, "cannot set tokenize"),
        ({"chat_template": "x"}, "cannot set chat_template"),
        ({"bos_token": "x"}, "cannot set bos_token"),
        ({"strftime_now": 1}, "cannot set strftime_now"),
        ({"enable-thinking": False}, "has the key 'enable-thinking', which is no name of a variable"),
        ({"": False}, "has the key '', which is no name of a variable"),
    ],
)
def test_a_value_that_cannot_be_set_is_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_config({"data": {"task": "add"}, "model": {"chat_template_kwargs": values}})
    assert f"`chat_template_kwargs` {told}" in str(caught.value)


@pytest.mark.parametrize("values", ["enable_thinking", ["a"], 7, {"a": [float("nan")]}, {"a": {"b": float("inf")}}])
def test_what_is_no_json_object_is_refused(values: Any) -> None:
    with pytest.raises(ConfigError, match="`model.chat_template_kwargs"):
        build_config({"data": {"task": "add"}, "model": {"chat_template_kwargs": values}})


def test_they_are_written_and_read_back(tmp_path: Path) -> None:
    values = {"enable_thinking": False, "text": "no", "deep": {"a": [1, None, "1e5"]}}
    config = build_config({"data": {"task": "add"}, "model": {"chat_template_kwargs": values}})
    (tmp_path / "run.yaml").write_text(dump_config(config))
    assert load_config(tmp_path / "run.yaml") == config


def test_a_bad_value_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("data: {task: add}\nmodel:\n  chat_template_kwargs:\n    tools: []\n")
    with pytest.raises(ConfigError, match=r"run\.yaml:3: .*cannot set tools"):
        load_config(path)
