from __future__ import annotations

import pytest

from verifine.serving.call_reader import CallReader, ReadCall

ADD = ReadCall(name="add", arguments='{"a": 1}')


def read(
    text: str, *, is_tagged: bool = True, names: tuple[str, ...] = ("add", "log")
) -> tuple[list[str], tuple[ReadCall, ...]]:
    """The content, character by character, and the calls."""
    reader = CallReader(names, is_tagged=is_tagged)
    content = [reader.add(character) for character in text]
    rest, calls = reader.finish()
    return [*content, rest], calls


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ('<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>', "", (ADD,)),
        ('Let me see. <tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>', "Let me see. ", (ADD,)),
        ('<tool_call>{"name": "add", "arguments": {"a": 1}}', "", (ADD,)),
        (
            '<tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>\n<tool_call>{"name": "log"}</tool_call>',
            "",
            (ADD, ReadCall(name="log", arguments="{}")),
        ),
        ("1 < 2 <tool", "1 < 2 <tool", ()),
        ("<tool_call>{broken</tool_call>", "<tool_call>{broken</tool_call>", ()),
        ('<tool_call>{"name": "rm"}</tool_call>', '<tool_call>{"name": "rm"}</tool_call>', ()),
        ('<tool_call>{"name": "add", "arguments": 1}', '<tool_call>{"name": "add", "arguments": 1}', ()),
        ('{"name": "add", "arguments": {"a": 1}}', '{"name": "add", "arguments": {"a": 1}}', ()),
    ],
)  # fmt: skip
def test_calls_between_tags_are_told_from_the_content(text: str, content: str, calls: tuple[ReadCall, ...]) -> None:
    given, found = read(text)
    assert ("".join(given), found) == (content, calls)


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ('{"name": "add", "parameters": {"a": 1}}', "", (ADD,)),
        (' {"name": "add", "arguments": {"a": 1}}\n', "", (ADD,)),
        ('{"a": 1}', '{"a": 1}', ()),
        ('Sure: {"name": "add", "parameters": {}}', 'Sure: {"name": "add", "parameters": {}}', ()),
    ],
)
def test_without_tags_an_answer_that_is_nothing_but_an_object_is_a_call(
    text: str, content: str, calls: tuple[ReadCall, ...]
) -> None:
    given, found = read(text, is_tagged=False)
    assert ("".join(given), found) == (content, calls)


def test_content_is_not_held_back_for_longer_than_it_may_be_a_call() -> None:
    given, _ = read("a <b <tool_calm")
    assert given == ["a", " ", "", "<b", " ", *[""] * 9, "<tool_calm", ""]


def test_without_tools_everything_is_content() -> None:
    text = '<tool_call>{"name": "add"}</tool_call>'
    given, found = read(text, names=())
    assert given == [*text, ""]
    assert found == ()
