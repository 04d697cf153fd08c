from __future__ import annotations

from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from verifine.models.chat.hidden import ChatPart, find_hidden_parts
from verifine.testing import CHAT_TEMPLATE, tiny_tokenizer
from verifine.types import Example, Message, ToolCall

SYSTEM = Message(role="system", content="Be brief.")
ASKED = Message(role="user", content="Oslo?")
ANSWER = Message(role="assistant", content="7")
AGAIN = Message(role="user", content="And Bonn?")
CALL = ToolCall(id="1", name="warm", arguments={"city": "Oslo"})
CALLING = Message(role="assistant", content="", tool_calls=(CALL,))
RESULT = Message(role="tool", content="7 degrees", tool_call_id="1")

USERS_ONLY = "{% for m in messages %}{% if m.role == 'user' %}<s>u:{{ m.content }}</s>{% endif %}{% endfor %}<s>a:"
CALLS = (
    "{% for m in messages %}{{ m.content or '' }}{% for c in m.tool_calls or [] %}"
    "{{ c.function.name }}({{ c.function.arguments }}){% endfor %}{% endfor %}"
)


def hidden(template: str, *chats: tuple[Message, ...], tools: tuple[dict[str, Any], ...] = ()) -> dict[ChatPart, int]:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    rows = [
        Example(id=str(i), messages=chat, item={}, tools=tools, place=f"t line {i}") for i, chat in enumerate(chats)
    ]
    found = find_hidden_parts(tokenizer, rows)
    assert found.rows == len(chats)
    return {each.part: each.rows for each in found.parts}


def test_a_template_that_shows_everything_hides_nothing() -> None:
    assert hidden(CHAT_TEMPLATE, (SYSTEM, ASKED, ANSWER, AGAIN), (ASKED,)) == {}


@pytest.mark.parametrize(
    ("template", "chat", "parts"),
    [
        (USERS_ONLY, (SYSTEM, ASKED), {ChatPart.SYSTEM}),
        (USERS_ONLY, (Message(role="developer", content="Be brief."), ASKED), {ChatPart.DEVELOPER}),
        (USERS_ONLY, (ASKED, ANSWER, AGAIN), {ChatPart.ASSISTANT}),
        (USERS_ONLY, (ASKED, CALLING, RESULT), {ChatPart.CALL, ChatPart.ARGUMENTS, ChatPart.TOOL}),
        (CHAT_TEMPLATE, (ASKED, CALLING, RESULT), {ChatPart.CALL, ChatPart.ARGUMENTS}),
        (CALLS, (ASKED, CALLING, RESULT), set()),
        (CALLS.replace("({{ c.function.arguments }})", ""), (ASKED, CALLING, RESULT), {ChatPart.ARGUMENTS}),
        ("{{ messages[-1].content }}", (ASKED, ANSWER, AGAIN), {ChatPart.USER, ChatPart.ASSISTANT}),
        (CHAT_TEMPLATE, (Message(role="user", content="Oslo?", name="ada"),), {ChatPart.NAME}),
        ("{{ messages[0].name }}{{ messages[0].content }}", (Message(role="user", content="O", name="ada"),), set()),
        (CHAT_TEMPLATE, (ASKED, Message(role="assistant", content="7", reasoning="so"), AGAIN), {ChatPart.REASONING}),
        # As Qwen 3's template, which keeps what follows the thought.
        (
            "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{% endfor %}",
            (ASKED, Message(role="assistant", content="<think>so</think>7"), AGAIN),
            {ChatPart.REASONING},
        ),
        # Harmony shows the first system message only.
        (
            "{% for m in messages %}{% if loop.first or m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}",
            (SYSTEM, ASKED, ANSWER, SYSTEM, AGAIN),
            {ChatPart.SYSTEM},
        ),
        ("{{ messages[0].content }}", (SYSTEM, ASKED), {ChatPart.USER}),
        # A system prompt may stand in the user's turn.
        ("{{ messages[0].content | trim }}: {{ messages[1].content | trim }}", (SYSTEM, ASKED), set()),
        # One of two calls is shown.
        (
            "{% for m in messages %}{{ m.content or '' }}"
            "{{ m.tool_calls[0].function | tojson if m.tool_calls }}{% endfor %}",
            (
                ASKED,
                Message(role="assistant", content="", tool_calls=(CALL, ToolCall(id="2", name="wet", arguments={}))),
                RESULT,
                Message(role="tool", content="no", tool_call_id="2"),
            ),
            {ChatPart.CALL},
        ),
    ],
)
def test_a_part_that_the_template_leaves_out_is_found(
    template: str, chat: tuple[Message, ...], parts: set[ChatPart]
) -> None:
    assert set(hidden(template, chat)) == parts


def test_ids_matter_only_where_results_stand_in_another_order() -> None:
    both = Message(role="assistant", content="", tool_calls=(CALL, ToolCall(id="2", name="wet", arguments={})))
    dry = Message(role="tool", content="no", tool_call_id="2")
    assert hidden(CALLS, (ASKED, both, RESULT, dry)) == {}
    assert hidden(CALLS, (ASKED, both, dry, RESULT)) == {ChatPart.RESULT_ID: 1}
    with_ids = CALLS.replace("{{ m.content or '' }}", "{{ m.tool_call_id }}{{ m.content or '' }}")
    assert hidden(with_ids, (ASKED, both, dry, RESULT)) == {}


def test_every_row_with_a_hidden_part_is_counted_and_the_first_is_named() -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = USERS_ONLY
    chats = [(ASKED,), (SYSTEM, ASKED), (Message(role="system", content="Other."), AGAIN)]
    rows = [Example(id=str(i), messages=chat, item={}, place=f"t line {i}") for i, chat in enumerate(chats)]
    (part,) = find_hidden_parts(tokenizer, rows).parts
    assert (part.part, part.rows, part.place, part.text) == (ChatPart.SYSTEM, 2, "t line 1", "Be brief.")


def test_a_part_that_makes_the_template_fail_was_read_by_it() -> None:
    check = "{% if messages[0].content != 'Be brief.' %}{{ raise_exception('unknown') }}{% endif %}"
    template = check + "{{ messages[1].content }}"
    assert hidden(template, (SYSTEM, ASKED)) == {}


class CountingTokenizer(PreTrainedTokenizerFast):  # type: ignore[misc]  # transformers has no types
    """Counts how often it renders a chat."""

    renders = 0

    def apply_chat_template(self, *given: Any, **how: Any) -> Any:
        self.renders += 1
        return super().apply_chat_template(*given, **how)


def test_rows_of_the_same_shape_are_rendered_once() -> None:
    tokenizer = CountingTokenizer(tokenizer_object=tiny_tokenizer().backend_tokenizer)
    tokenizer.chat_template = CHAT_TEMPLATE
    chats = [(SYSTEM, Message(role="user", content=str(i)), ANSWER, AGAIN) for i in range(500)]
    rows = [Example(id=str(i), messages=chat, item={}) for i, chat in enumerate(chats)]
    assert find_hidden_parts(tokenizer, rows).parts == ()
    assert tokenizer.renders == 8  # four messages, as they are and changed
