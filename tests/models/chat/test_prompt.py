from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from verifine.errors import DataError
from verifine.models.chat.prompt import prompt_text, render_prompt
from verifine.testing import load_tiny_model
from verifine.testing.models import CHAT_TEMPLATE
from verifine.types import Example, Json, Message


def example(content: str) -> Example:
    messages = (Message(role="system", content="be brief"), Message(role="user", content=content))
    return Example(id="17", messages=messages, item={"gt_answer": "4"})


def test_a_prompt_is_what_the_chat_template_writes(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    prompt = render_prompt(model, example("2+2?"), 10)
    assert prompt_text(model, prompt) == "<s>s:be brief</s><s>u:2+2?</s><s>a:"
    assert (prompt.id, prompt.item, prompt.question) == ("17", {"gt_answer": "4"}, "2+2?")


def test_a_prompt_that_leaves_no_room_for_the_answer_is_refused(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    with pytest.raises(DataError, match=r"example 17: .* 249 tokens.* 156 tokens"):
        render_prompt(model, example("a" * 230), 100)


ADD: dict[str, Json] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def test_tools_reach_the_chat_template(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    shown = "{% for tool in tools or [] %}<s>t:{{ tool['function']['name'] }}</s>{% endfor %}"
    model.tokenizer.chat_template = shown + CHAT_TEMPLATE
    with_tools = replace(example("2+2?"), tools=(ADD,))
    text = prompt_text(model, render_prompt(model, with_tools, 10))
    assert text == "<s>t:add</s><s>s:be brief</s><s>u:2+2?</s><s>a:"
    without = prompt_text(model, render_prompt(model, example("2+2?"), 10))
    assert without == "<s>s:be brief</s><s>u:2+2?</s><s>a:"


def test_a_template_that_leaves_the_tools_out_is_refused(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    with_tools = replace(example("2+2?"), tools=(ADD,))
    with pytest.raises(DataError, match="example 17: .*tiny-llama.* tools"):
        render_prompt(model, with_tools, 10)


def test_messages_that_the_template_refuses_are_named(tmp_path: Path) -> None:
    model = load_tiny_model(tmp_path)
    model.tokenizer.chat_template = "{{ raise_exception('no system message, please') }}"
    with pytest.raises(DataError, match="example 17: .*tiny-llama.*: no system"):
        render_prompt(model, example("2+2?"), 10)
