from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from verifine.errors import ConfigError
from verifine.models.chat.values import free_variables, with_values
from verifine.models.export import save_model
from verifine.models.load import load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.testing import CHAT_TEMPLATE, save_tiny_model, tiny_tokenizer
from verifine.testing.models import with_chat_template
from verifine.types import Json

THINKING = CHAT_TEMPLATE.removesuffix("{% endif %}") + (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>{{ '\\n\\n' }}</think>{% endif %}"
    "{% if reasoning_effort %}[{{ reasoning_effort }}]{% endif %}{% endif %}"
)
ASKED = [{"role": "user", "content": "Oslo?"}]


def rendered(template: Any, **given: Any) -> str:
    """What plain transformers makes of it."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    text = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False, **given)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    ("values", "end"),
    [
        ({}, ""),
        ({"enable_thinking": True}, ""),
        ({"enable_thinking": False}, "<think>\n\n</think>"),
        ({"reasoning_effort": "high"}, "[high]"),
        ({"enable_thinking": False, "reasoning_effort": "low"}, "<think>\n\n</think>[low]"),
    ],
)
def test_a_value_does_what_an_argument_of_the_renderer_does(values: dict[str, Json], end: str) -> None:
    text = rendered(with_values(THINKING, values, "m"))
    assert text == rendered(THINKING, **values) == f"<s>u:Oslo?</s><s>a:{end}"


VALUES: list[Json] = [
    None, True, False, 0, -3, 2.5, 1e-7, 10**20, "", "it's", 'a "b" \\ c', "{{ x }} {% endif %} {# #}", "two\nlines\t",
    "Ørsta \u2028 \U0001f600 \x00 \x1f", [], {}, [1, [None, "a"]], {"a b": {"c": [True]}, "it's": -1.5},
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_every_json_value_arrives_as_it_is(value: Json) -> None:
    template = "{{ switch | tojson(ensure_ascii=true) }}{{ switch is none }}{{ switch is string }}"
    assert rendered(with_values(template, {"switch": value}, "m")) == rendered(template, switch=value)


@pytest.mark.parametrize(
    "template",
    ["\n\n  {{ x }}", "  {% if x %}y{% endif %}", "{#- c -#}\n{{ x }}", "{%- if x %}y{% endif %}", "a\n{{ x }}"],
)
def test_the_rest_of_the_template_stays_as_it_is(template: str) -> None:
    assert rendered(with_values(template, {"x": 1}, "m")) == rendered(template, x=1)


def test_loops_macros_and_blocks_see_the_value() -> None:
    template = (
        "{% macro show() %}{{ x }}{% endmacro %}{% for m in messages %}{{ x }}{{ show() }}{% endfor %}"
        "{% set ns = namespace(y=x) %}{{ ns.y }}{% if x is defined %}!{% endif %}"
    )
    assert rendered(with_values(template, {"x": 7}, "m")) == rendered(template, x=7) == "777!"


def test_a_caller_can_still_give_another_value() -> None:
    template = with_values(THINKING, {"enable_thinking": False, "reasoning_effort": "low"}, "m")
    text = rendered(template, enable_thinking=True, reasoning_effort="high")
    assert text == "<s>u:Oslo?</s><s>a:[high]"


def test_a_later_value_wins_and_the_same_one_is_written_once() -> None:
    once = with_values(THINKING, {"reasoning_effort": "low"}, "m")
    assert with_values(once, {"reasoning_effort": "low"}, "m") == once
    assert rendered(with_values(once, {"reasoning_effort": "high"}, "m")).endswith("[high]")


def test_templates_by_name_all_get_the_value() -> None:
    both = with_values({"default": THINKING, "tool_use": CHAT_TEMPLATE}, {"reasoning_effort": "low"}, "m")
    assert rendered(both).endswith("[low]")
    assert isinstance(both, dict)
    assert both["tool_use"].endswith(CHAT_TEMPLATE)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (THINKING, 'never reads enable_thinkng (did you mean "enable_thinking"?); it reads enable_thinking, '),
        (CHAT_TEMPLATE, "never reads enable_thinkng; it reads nothing that can be set"),
        ("{% if", "never reads enable_thinkng; it reads nothing that can be set"),
    ],
)
def test_a_value_that_the_template_never_reads_is_refused_with_those_it_reads(template: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_values(template, {"enable_thinkng": False}, "tiny")
    assert str(caught.value).startswith("model.chat_template_kwargs: the chat template of tiny ")
    assert told in str(caught.value)


def test_what_the_renderer_gives_is_no_free_variable() -> None:
    template = (
        "{{ bos_token }}{{ eos_token }}{{ strftime_now('%Y') }}{{ raise_exception('x') }}{{ tools }}{{ documents }}"
        "{{ range(3) }}{% for m in messages %}{% generation %}{{ m }}{% endgeneration %}{% break %}{% endfor %}"
        "{% if add_generation_prompt %}{{ date_string }}{% set local = 1 %}{{ local }}{% endif %}"
        "{% if mode is not defined %}{% set mode = 'fast' %}{% endif %}{% set effort = effort or 'low' %}"
    )
    assert free_variables(template) == {"date_string", "mode", "effort"}


def test_a_saved_model_prompts_the_same_way_in_plain_transformers(tmp_path: Path) -> None:
    base = ProvisionedModel(
        name="m", folder=with_chat_template(save_tiny_model(tmp_path / "base"), THINKING), source="local folder"
    )
    model = load_model(base, "float32", template_values={"enable_thinking": False})
    save_model(model, tmp_path / "trained")
    saved = AutoTokenizer.from_pretrained(tmp_path / "trained")
    text = saved.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False)
    assert text == "<s>u:Oslo?</s><s>a:<think>\n\n</think>"
    again = ProvisionedModel(name="m", folder=tmp_path / "trained", source="local folder")
    other = load_model(again, "float32", template_values={"enable_thinking": True})
    assert other.tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False).endswith("a:")


def test_without_values_the_template_is_left_alone() -> None:
    assert with_values(THINKING, {}, "m") is THINKING
