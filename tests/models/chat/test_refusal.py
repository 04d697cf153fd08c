from __future__ import annotations

import pytest

from verifine.errors import DataError
from verifine.models.chat.prompt import render_prompt
from verifine.models.load import LanguageModel
from verifine.testing import CHAT_TEMPLATE, load_tiny_model
from verifine.types import Example, Message, ToolCall

SYSTEM = Message(role="system", content="Be brief.")
ASKED = Message(role="user", content="Oslo?")
CALLING = Message(role="assistant", content="", tool_calls=(ToolCall(id="1", name="warm", arguments={}),))
RESULT = Message(role="tool", content="7 degrees", tool_call_id="1")

NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + CHAT_TEMPLATE
)
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% endfor %}" + CHAT_TEMPLATE
)
KNOWN_ROLES = (
    "{% for m in messages %}{% if m.role not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('Unknown role: ' + m.role) }}{% endif %}{% endfor %}" + CHAT_TEMPLATE
)
ONE_CALL = (
    "{% for m in messages %}{% if m.tool_calls and m.tool_calls | length > 1 %}"
    "{{ raise_exception('This model only supports single tool-calls at once!') }}{% endif %}{% endfor %}"
    "{{ messages | length }}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return load_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    ("template", "chat", "told"),
    [
        (NO_SYSTEM, (SYSTEM, ASKED), ": System role not supported. It takes no system message: put its text into the "),
        (NO_SYSTEM, (SYSTEM, SYSTEM, ASKED), "It takes no system message"),
        (ALTERNATING, (SYSTEM, ASKED), "user/assistant/user/assistant/. It takes no system message"),
        (
            ALTERNATING,
            (ASKED, ASKED),
            "Its roles must alternate: join neighbouring messages of the same role into one.",
        ),
        (
            KNOWN_ROLES,
            (Message(role="developer", content="x"), ASKED),
            ": Unknown role: developer. It knows no role developer",
        ),
        (
            KNOWN_ROLES,
            (ASKED, CALLING, RESULT),
            "It takes no tool calls and no results of tools: use a model that was trained",
        ),
        (
            ONE_CALL,
            (ASKED, Message(role="assistant", content="", tool_calls=CALLING.tool_calls * 2), RESULT, RESULT),
            "It takes one tool call in a turn: put each into a turn of its own.",
        ),
        (
            "{{ raise_exception('no') }}",
            (SYSTEM, ASKED),
            ": no. Change its messages, or use another model (model.name).",
        ),
        # Errors of the template itself
        ("{{ messages[3].content + 'a' }}", (ASKED,), "has no element 3. Change its messages"),
        ("{{ messages[0].content + 1 }}", (ASKED,), "Change its messages"),
        ("{{ 1 // (messages | length - 1) }}", (ASKED,), "Change its messages"),
        ("{{ messages[0].content | frob }}", (ASKED,), "Change its messages"),
        ("{% if %}", (ASKED,), "Change its messages"),
    ],
)
def test_a_refused_chat_is_named_with_what_the_template_does_not_take(
    template: str, chat: tuple[Message, ...], told: str, model: LanguageModel
) -> None:
    model.tokenizer.chat_template = template
    with pytest.raises(DataError) as caught:
        render_prompt(model, Example(id="1", messages=chat, item={}, place="train.jsonl line 7"), 8)
    text = str(caught.value)
    assert text.startswith("train.jsonl line 7: the chat template of tiny-llama refuses its messages: ")
    assert told in text
    assert "\n" not in text


def test_tools_may_be_what_is_refused(model: LanguageModel) -> None:
    model.tokenizer.chat_template = "{% if tools %}{{ raise_exception('no tools') }}{% endif %}" + CHAT_TEMPLATE
    example = Example(id="1", messages=(ASKED,), item={}, tools=({"type": "function"},))
    with pytest.raises(DataError, match=r"no tools\. It takes no tools: use a model that was trained"):
        render_prompt(model, example, 8)
