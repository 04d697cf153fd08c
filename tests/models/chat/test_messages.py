from __future__ import annotations

from collections.abc import Callable

import pytest

from verifine.models.chat.prompt import prompt_text, render_prompt
from verifine.testing import load_tiny_model
from verifine.types import Example, Json, Message, ToolCall

START = "{% for m in messages %}<s>{{ m['role'][0] }}:{{ m['content'] or '' }}"
END = "</s>{% endfor %}{% if add_generation_prompt %}<s>a:{% endif %}"

HERMES = (
    "{% for c in m.tool_calls or [] %}<tool_call>"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}</tool_call>{% endfor %}'
)
PRINTED = "{% for c in m.tool_calls or [] %}{{ c.function.name }}{{ c.function.arguments }}{% endfor %}"
ADDED = (
    "{% for c in m.tool_calls or [] %}"
    "{{ c['function']['name'] + '\\n' + c['function']['arguments'] + '!' }}{% endfor %}"
)
JOINED = "{% for c in m.tool_calls or [] %}{{ c.function.name ~ c.function.arguments ~ '!' }}{% endfor %}"
EITHER = (
    "{% for c in m.tool_calls or [] %}{% if c.function.arguments is string %}{{ c.function.arguments }}{% else %}"
    "{{ c.function.arguments | tojson }}{% endif %}{% endfor %}"
)
EACH = (
    "{% for c in m.tool_calls or [] %}{% for name, value in c.function.arguments.items() %}"
    "<{{ name }}>{{ value }}</{{ name }}>{% endfor %}{% endfor %}"
)
IDS = "{% for c in m.tool_calls or [] %}{{ c.id }}={{ c.type }};{% endfor %}{{ m.tool_call_id }}{{ m.name }}"

ASKED = Message(role="user", content="Oslo?")
RESULT = Message(role="tool", content="7", tool_call_id="1")


def calling(arguments: dict[str, Json], content: str = "") -> Message:
    return Message(role="assistant", content=content, tool_calls=(ToolCall(id="1", name="warm", arguments=arguments),))


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The prompt that a chat template makes of some messages."""
    model = load_tiny_model(tmp_path_factory.mktemp("model"))

    def render(template: str, *messages: Message) -> str:
        model.tokenizer.chat_template = template
        return prompt_text(model, render_prompt(model, Example(id="1", messages=messages, item={}), 8))

    return render


@pytest.mark.parametrize(
    ("calls", "shown"),
    [
        (HERMES, '<tool_call>{"name": "warm", "arguments": {"city": "Oslo"}}</tool_call>'),
        (PRINTED, 'warm{"city": "Oslo"}'),
        (ADDED, 'warm\n{"city": "Oslo"}!'),
        (JOINED, 'warm{"city": "Oslo"}!'),
        (EITHER, '{"city": "Oslo"}'),
        (EACH, "<city>Oslo</city>"),
        ("{{ m.tool_calls[0].function | tojson if m.tool_calls }}", '{"name": "warm", "arguments": {"city": "Oslo"}}'),
        ("{{ m.tool_calls[0].function.arguments | string if m.tool_calls }}", '{"city": "Oslo"}'),
        ("{{ (m.tool_calls[0].function.arguments is mapping) if m.tool_calls }}", "True"),
    ],
)
def test_arguments_are_encoded_once_however_the_template_writes_them(
    calls: str, shown: str, show: Callable[..., str]
) -> None:
    text = show(START + calls + END, ASKED, calling({"city": "Oslo"}), RESULT)
    assert text == f"<s>u:Oslo?</s><s>a:{shown}</s><s>t:7</s><s>a:"


@pytest.mark.parametrize("calls", [HERMES, PRINTED])
def test_values_inside_arguments_are_json_too(calls: str, show: Callable[..., str]) -> None:
    arguments: dict[str, Json] = {"deep": {"on": True, "list": [1, None, "it's"]}, "none": None}
    text = show(START + calls + END, ASKED, calling(arguments), RESULT)
    assert '{"deep": {"on": true, "list": [1, null, "it\'s"]}, "none": null}' in text


def test_an_object_or_list_among_arguments_is_no_python_text(show: Callable[..., str]) -> None:
    text = show(START + EACH + END, ASKED, calling({"a": {"x": "y"}, "b": ["z"]}), RESULT)
    assert '<a>{"x": "y"}</a><b>["z"]</b>' in text


def test_ids_and_names_reach_the_template(show: Callable[..., str]) -> None:
    named = Message(role="user", content="Oslo?", name="ada")
    text = show("{% for m in messages %}" + IDS + "|" + END, named, calling({}), RESULT)
    assert text == "ada|</s>1=function;|</s>1|</s><s>a:"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_has_the_name_that_the_template_reads(field: str, show: Callable[..., str]) -> None:
    answer = Message(role="assistant", content="7", reasoning="cold")
    text = show(f"{START}({{{{ m.{field} }}}}){END}", ASKED, answer, ASKED)
    assert text == "<s>u:Oslo?()</s><s>a:7(cold)</s><s>u:Oslo?()</s><s>a:"


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        # As DeepSeek's template tells a turn that calls tools from one that answers.
        ("{% if m['content'] is none %}" + PRINTED + "{% else %}{{ m['content'] }}{% endif %}", 'warm{"city": "Oslo"}'),
        ("{{ m['content'] }}" + PRINTED, 'warm{"city": "Oslo"}'),
        ("{{ '' + m['content'] }}" + PRINTED, 'warm{"city": "Oslo"}'),
        ("{{ m['content'].strip() }}" + PRINTED, 'warm{"city": "Oslo"}'),
        ("{{ m.content | trim }}" + PRINTED, 'warm{"city": "Oslo"}'),
    ],
)
def test_a_turn_without_text_has_null_or_empty_content_whichever_the_template_takes(
    content: str, shown: str, show: Callable[..., str]
) -> None:
    template = "{% for m in messages %}<s>{{ m['role'][0] }}:" + content + END
    text = show(template, ASKED, calling({"city": "Oslo"}), RESULT)
    assert text == f"<s>u:Oslo?</s><s>a:{shown}</s><s>t:7</s><s>a:"


def test_text_beside_a_call_is_kept(show: Callable[..., str]) -> None:
    text = show(START + HERMES + END, ASKED, calling({}, "Let me look."), RESULT)
    assert '<s>a:Let me look.<tool_call>{"name": "warm", "arguments": {}}</tool_call></s>' in text
