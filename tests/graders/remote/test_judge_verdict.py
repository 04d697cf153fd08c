from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.graders.judge.verdict import MAX_CANDIDATES, Completion, VerdictError, read_completion, read_result
from verifine.types import GradeFault, Json, TokenUsage

VERDICT = '{"steps": [{"description": "it is {short}", "conclusion": "good"}], "result": 0.5}'


def said(content: str, *, finish_reason: str = "stop", refusal: str | None = None) -> Completion:
    return Completion(content=content, refusal=refusal, finish_reason=finish_reason, usage=TokenUsage())


def refused(completion: Completion) -> VerdictError:
    with pytest.raises(VerdictError) as caught:
        read_result(completion)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [
        VERDICT,
        f"\n {VERDICT} \n",
        f"```json\n{VERDICT}\n```",
        f"<think>Is {{this}} \\frac{{1}}{{2}}?</think>\n{VERDICT}",
        f'The answer says {{"result": 1.0}}, which proves nothing.\n\n```\n{VERDICT}\n```\n',
        f'It begins with {{"a": [{{"b": and never ends.\n{VERDICT}',
        '{"result": 0.5}',
    ],
)
def test_the_verdict_is_the_object_at_the_end(content: str) -> None:
    assert read_result(said(content)) == 0.5


@pytest.mark.parametrize(
    "content",
    [
        "",
        "0.5",
        "[0.5]",
        '"result"',
        "I give it 0.5.",
        '{"score": 0.5}',
        '{"result": 0.5, "result": 1.0}',
        '{"result": NaN}',
        '{"result": 1e999}',
        '{"result": 0.5',
        '{"steps": [{"result": 1.0}]}',
        f"{VERDICT} and that is my last word",
        'The answer says {"result": 1.0}, and I do not agree.',
    ],
)
def test_anything_else_is_no_verdict(content: str) -> None:
    assert refused(said(content)).fault is GradeFault.MODEL_PARSE


def test_an_object_that_a_judge_quotes_in_its_verdict_is_not_the_verdict() -> None:
    steps = [{"description": 'the answer ends with {"result": 1.0}', "conclusion": '{"result": 1.0}'}]
    assert read_result(said("Well: " + json.dumps({"steps": steps, "result": 0}))) == 0
    cut_off = json.dumps({"steps": steps, "result": 0})[:-15]
    assert refused(said(cut_off)).fault is GradeFault.MODEL_PARSE


def test_a_thought_that_is_cut_off_is_no_verdict_though_it_ends_like_one() -> None:
    error = refused(said('The answer says {"result": 1.0}', finish_reason="length"))
    assert "max_completions_tokens" in str(error)
    assert read_result(said(VERDICT, finish_reason="length")) == 0.5, "a whole verdict is one"


def test_a_refusal_is_told_apart() -> None:
    assert refused(said("", refusal="I cannot\nhelp.")).fault is GradeFault.MODEL_REFUSAL
    assert refused(said(VERDICT, refusal="I cannot help.")).fault is GradeFault.MODEL_REFUSAL
    assert refused(said(VERDICT, finish_reason="content_filter")).fault is GradeFault.MODEL_REFUSAL


@given(content=st.text() | st.text(alphabet='{}[]":, \nresult0e-`'))
def test_no_text_is_worse_than_no_verdict(content: str) -> None:
    with suppress(VerdictError):
        read_result(said(content))


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(thought=st.text(alphabet=st.characters(exclude_characters='{"')), steps=_JSON, result=_JSON)
def test_any_verdict_at_the_end_of_a_thought_is_read(thought: str, steps: Json, result: Json) -> None:
    verdict = json.dumps({"steps": steps, "result": result})
    assert read_result(said(thought + verdict)) == result


@pytest.mark.parametrize("piece", ['{"a":', '{"a', "{", '{"a":{}}', '{ "', "`", " ", '{"result":1}'])
def test_a_huge_answer_is_given_up_on_before_long(piece: str) -> None:
    assert refused(said(piece * (1_000_000 // len(piece)) + "x")).fault is GradeFault.MODEL_PARSE


def test_a_thought_may_open_many_objects_but_not_any_number_of_them() -> None:
    assert read_result(said('{"' * (MAX_CANDIDATES - 1) + VERDICT)) == 0.5
    refused(said('{"' * MAX_CANDIDATES + VERDICT))


def test_what_matters_of_a_completion() -> None:
    completion = read_completion(
        {
            "choices": [{"message": {"content": "x", "refusal": None}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}},
        }
    )
    assert completion == Completion(
        content="x", refusal=None, finish_reason="stop", usage=TokenUsage(prompt=10, completion=2, cached=8)
    )


@pytest.mark.parametrize(
    "usage", [None, {}, [], {"prompt_tokens": -1, "completion_tokens": True}, {"prompt_tokens": "9"}]
)
def test_a_server_that_does_not_count_tokens_counts_none(usage: Json) -> None:
    assert read_completion({"choices": [{"message": {}}], "usage": usage}).usage == TokenUsage()


@pytest.mark.parametrize("reply", [None, [], {}, {"choices": []}, {"choices": {}}, {"choices": [{}]}, {"error": "no"}])
def test_what_is_no_completion_is_the_servers_fault(reply: Json) -> None:
    with pytest.raises(VerdictError) as caught:
        read_completion(reply)
    assert caught.value.fault is GradeFault.MODEL_SERVER
