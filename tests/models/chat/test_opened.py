from __future__ import annotations

import pytest

from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel
from verifine.testing import load_tiny_model
from verifine.types import Example, Message

TURNS = "{% for m in messages %}<s>{{ m['role'][0] }}:{{ m['content'] }}</s>{% endfor %}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("model"))


def opened(model: LanguageModel, start: str, *contents: str) -> str:
    model.tokenizer.chat_template = TURNS + "{% if add_generation_prompt %}" + start + "{% endif %}"
    messages = tuple(Message(role="user", content=content) for content in contents or ("Oslo?",))
    return render_prompt(model, Example(id="1", messages=messages, item={}), 8).opened


@pytest.mark.parametrize(
    ("start", "text"),
    [
        ("<s>a:", ""),
        ("<s>a:<think>\n", "<think>\n"),
        ("<s>a:<think>{{ '\n' }}", "<think>\n"),
        ("<s>assistant\n\n<think>{{ '\n\n' }}</think>{{ '\n\n' }}", "<think>\n\n</think>\n\n"),
        ("<s>a:Sure. <answer>", "<answer>"),
        ("<s>a:<my-tag_2>so", "<my-tag_2>so"),
        ("<|assistant|><think>", "<think>"),
        ("<s>a: 1 < 2 > 0", ""),
        ("<s>a:</think>", ""),
        ("<think>" + "so " * 10, "<think>" + "so " * 10),
        ("<think>" + "so " * 40, "<think>" + "so " * 40),
    ],
)
def test_what_the_template_writes_of_the_answer_begins_at_its_first_tag(
    start: str, text: str, model: LanguageModel
) -> None:
    assert opened(model, start) == text


def test_tags_that_the_user_wrote_are_not_the_answers(model: LanguageModel) -> None:
    assert opened(model, "<s>a:", "Write <think> and then <answer>") == ""
    assert opened(model, "<s>a:<think>", "<b>bold</b>", "Write <answer>") == "<think>"


def test_special_tokens_do_not_count(model: LanguageModel) -> None:
    """Gemma's <start_of_turn> looks like a tag."""
    assert opened(model, "</s><s><pad>a:") == ""


def test_the_end_of_a_turn_that_looks_like_a_tag_does_not_count(model: LanguageModel) -> None:
    model.tokenizer.chat_template = (
        "{% for m in messages %}{{ m['content'] }}<eot>{% endfor %}{% if add_generation_prompt %}a:<think>{% endif %}"
    )
    example = Example(id="1", messages=(Message(role="user", content="Oslo?"),), item={})
    assert render_prompt(model, example, 8).opened == "<think>"


def test_it_may_depend_on_the_row(model: LanguageModel) -> None:
    start = "<s>a:{% if messages[-1]['content'] == 'hard' %}<think>{% endif %}"
    assert [opened(model, start, content) for content in ("hard", "easy")] == ["<think>", ""]


@pytest.mark.parametrize(
    "check", ["", "{% if not add_generation_prompt %}{{ raise_exception('no answer') }}{% endif %}"]
)
def test_a_template_may_begin_an_answer_after_every_chat(check: str, model: LanguageModel) -> None:
    model.tokenizer.chat_template = f"{check}{TURNS}a:<think>"
    example = Example(id="1", messages=(Message(role="user", content="Say <b>"),), item={})
    assert render_prompt(model, example, 8).opened == "<think>"


@pytest.mark.parametrize("content", ["hi", "think", "<think>", ">", "a:", " hi ", "hi\n", "", " ", "so hi so hi", "t"])
@pytest.mark.parametrize("turn", ["{{ m['content'] }}", "{{ m['content'] | trim }}"])
def test_a_message_that_is_also_in_what_the_template_writes_is_not_mistaken_for_it(
    content: str, turn: str, model: LanguageModel
) -> None:
    model.tokenizer.chat_template = "{% for m in messages %}<s>u:" + turn + "</s>{% endfor %}a:<think>{{ '\n' }}"
    example = Example(id="1", messages=(Message(role="user", content=content),), item={})
    assert render_prompt(model, example, 8).opened == "<think>\n"


@pytest.mark.parametrize(("content", "text"), [("Oslo? /no", "<answer>"), ("Oslo?", "<think>"), ("no/Oslo?", "<b>")])
def test_a_template_that_always_begins_an_answer_may_look_at_either_end_of_the_message(
    content: str, text: str, model: LanguageModel
) -> None:
    model.tokenizer.chat_template = TURNS + (
        "{% set last = messages[-1]['content'] %}a:"
        "{% if last.endswith('/no') %}<answer>{% elif last.startswith('no/') %}<b>{% else %}<think>{% endif %}"
    )
    example = Example(id="1", messages=(Message(role="user", content=content),), item={})
    assert render_prompt(model, example, 8).opened == text


def test_a_template_that_leaves_the_last_message_out_opens_nothing_that_can_be_told(model: LanguageModel) -> None:
    model.tokenizer.chat_template = "<s>a:<think>"
    example = Example(id="1", messages=(Message(role="user", content="Oslo?"),), item={})
    assert render_prompt(model, example, 8).opened == ""
