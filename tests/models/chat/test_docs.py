"""The page on chat templates: its config is one, its messages are those that are printed; it names every finding."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from verifine.config import ModelConfig, load_config
from verifine.errors import ConfigError, DataError
from verifine.insights.diagnosis.describe import describe_finding
from verifine.models.chat.hidden import ChatPart, find_hidden_parts
from verifine.models.chat.prompt import render_prompt
from verifine.models.chat.values import with_values
from verifine.preflight.prompts import PromptFacts, judge_prompts
from verifine.testing import CHAT_TEMPLATE, load_tiny_model, tiny_tokenizer
from verifine.types import Example, Message

PAGE = (Path(__file__).parents[3] / "docs/chat-templates.md").read_text(encoding="utf-8")
CONFIG, *MESSAGES = (text for _, text in re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
ROW = (Message(role="system", content="Answer inside tags."), Message(role="user", content="0 + 7?"))


def rows(count: int) -> list[Example]:
    return [Example(id=str(i), messages=ROW, item={}, place=f"rows.jsonl line {i}") for i in range(1, count + 1)]


def test_the_config_on_the_page_is_one(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(CONFIG)
    assert load_config(tmp_path / "run.yaml").model.chat_template_kwargs == {"enable_thinking": False}


def test_a_switch_that_is_never_read_is_refused_in_these_words() -> None:
    with pytest.raises(ConfigError) as caught:
        with_values("{% if enable_thinking %}{% endif %}", {"thinking": False}, "Qwen/Qwen3-0.6B")
    assert f"{caught.value}\n" == MESSAGES[0]


def test_the_default_in_a_saved_template_is_the_one_shown() -> None:
    written = with_values("{{ enable_thinking }}", {"enable_thinking": False}, "m")
    assert isinstance(written, str)
    assert f"`{written.splitlines()[0]}`" in PAGE


def test_a_hidden_part_is_told_in_these_words() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    facts = PromptFacts(model="./model", hidden=find_hidden_parts(tokenizer, rows(8)))
    (finding,) = judge_prompts(facts, ModelConfig())
    assert f"{describe_finding(finding)}\n" == MESSAGES[1]


def test_a_refused_chat_is_told_in_these_words(tmp_path: Path) -> None:
    model = replace(load_tiny_model(tmp_path), name="./model")
    model.tokenizer.chat_template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        + CHAT_TEMPLATE
    )
    with pytest.raises(DataError) as caught:
        render_prompt(model, rows(1)[0], 8)
    assert f"{caught.value}\n" == MESSAGES[2]


def test_every_finding_is_in_the_table() -> None:
    assert set(re.findall(r"`(hidden_\w+)`", PAGE)) == {f"hidden_{part.name.lower()}" for part in ChatPart}
