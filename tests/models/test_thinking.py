from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config import load_config
from verifine.errors import ConfigError
from verifine.models.load import LanguageModel, load_model
from verifine.models.provision.stored import ProvisionedModel
from verifine.models.thinking import ThinkingLimit, ThoughtReader, ThoughtTags, thinks_apart
from verifine.testing import load_tiny_model, save_tiny_reasoning_model, tiny_tokenizer
from verifine.types import FinishReason, Prompt, Rollout, Sampling, ThinkingBudget

PAGE = (Path(__file__).parents[2] / "docs/reasoning.md").read_text(encoding="utf-8")

OPEN, CLOSE, A, B = 1, 2, 3, 4
TAGS = ThoughtTags(opening=OPEN, closing=CLOSE)
END = (A, CLOSE, B)


def limit(tokens: int) -> ThinkingLimit:
    return ThinkingLimit(tags=TAGS, tokens=tokens, end=END, vocabulary=5)


def written(tokens: int, opened: str, wanted: list[int]) -> list[int]:
    """What an answer becomes whose model would write `wanted`, if nothing were forced."""
    rule, wishes, answer = limit(tokens), iter(wanted), list[int]()
    progress = rule.begin(opened)
    while True:
        due = rule.due(progress)
        token = next(wishes, None) if due is None else due
        if token is None:
            return answer
        answer.append(token)
        progress = rule.after(progress, token)


@pytest.mark.parametrize(
    ("opened", "wanted", "expected", "forced"),
    [
        ("", [A, A, A, A], [A, A, A, A], []),  # it does not think
        ("<think>\n", [A, A, CLOSE, A], [A, A, A, CLOSE, B, CLOSE, A], [2, 3, 4]),  # at the budget the end is forced
        ("<think>\n", [A, CLOSE, A, A], [A, CLOSE, A, A], []),  # it ends its thought itself
        ("", [A, OPEN, B, B, A], [A, OPEN, B, B, A, CLOSE, B, A], [4, 5, 6]),  # what is before the thought is free
        ("<think>\n\n</think>\n\n", [A, A, A], [A, A, A], []),  # the template thought for it
        ("<think>", [A, CLOSE, OPEN, A, A], [A, CLOSE, OPEN, A, A, CLOSE, B, A], [4, 5, 6]),  # thoughts share a budget
        ("<think>", [A, A, OPEN, B], [A, A, A, CLOSE, B, OPEN, A, CLOSE, B, B], [2, 3, 4, 6, 7, 8]),  # it is spent
        ("<think>", [OPEN, A, A, A], [OPEN, A, A, A, CLOSE, B, A], [3, 4, 5]),  # a tag is no thought
    ],
)
def test_a_thought_ends_at_two_tokens(opened: str, wanted: list[int], expected: list[int], forced: list[int]) -> None:
    assert written(2, opened, wanted) == expected
    assert list(limit(2).forced_places(opened, expected)) == forced


def test_a_budget_of_nothing_ends_a_thought_before_it_begins() -> None:
    assert written(0, "<think>", [A, A]) == [*END, A, A]
    assert written(0, "", [A, OPEN, A]) == [A, OPEN, *END, A]
    assert written(0, "", [A, A]) == [A, A]


@given(st.lists(st.sampled_from([OPEN, CLOSE, A, B]), max_size=30), st.integers(0, 6), st.booleans())
def test_thoughts_never_have_more_tokens_of_the_models_own_than_the_budget(
    wanted: list[int], tokens: int, opens: bool
) -> None:
    opened = "<think>" if opens else ""
    answer = written(tokens, opened, wanted)
    forced = list(limit(tokens).forced_places(opened, answer))
    assert [token for place, token in enumerate(answer) if place not in forced] == wanted
    complete = len(forced) // len(END)
    assert [answer[place] for place in forced] == [*END * complete, *END[: len(forced) % len(END)]]
    before_the_tag = sum(place in forced and token == A for place, token in enumerate(answer))
    assert TAGS.count(opened, answer) - before_the_tag <= tokens


def test_tokens_of_thoughts_are_counted_without_tags() -> None:
    assert TAGS.count("", [A, OPEN, A, B, CLOSE, A, OPEN, A]) == 3
    assert TAGS.count("<think>\n", [A, B]) == 2
    assert TAGS.count("<think></think>", [A, B]) == 0


@pytest.fixture
def model(qwen3_template: str, tmp_path: Path) -> LanguageModel:
    folder = save_tiny_reasoning_model(tmp_path / "model", qwen3_template)
    return load_model(ProvisionedModel(name="tiny-qwen3", folder=folder, source="random"), "float32")


def sampling(tokens: int, end: str = "\n</think>\n\n", max_new_tokens: int = 16) -> Sampling:
    return Sampling(group_size=1, max_new_tokens=max_new_tokens, thinking=ThinkingBudget(tokens=tokens, end=end))


def test_the_forced_end_is_the_text_as_the_tokenizer_reads_it(model: LanguageModel) -> None:
    found = ThinkingLimit.of(model, sampling(3, "Now.\n</think>"))
    assert found is not None
    assert model.tokenizer.convert_ids_to_tokens(list(found.end)) == ["N", "o", "w", ".", "\n", "</think>"]
    assert model.tokenizer.convert_ids_to_tokens([found.tags.opening, found.tags.closing]) == ["<think>", "</think>"]
    assert ThinkingLimit.of(model, Sampling(group_size=1, max_new_tokens=4)) is None


def test_a_budget_that_leaves_no_answer_is_refused(model: LanguageModel) -> None:
    assert ThinkingLimit.of(model, sampling(11)) is not None
    with pytest.raises(ConfigError, match="sampling.thinking_token_budget"):
        ThinkingLimit.of(model, sampling(12))


def test_a_model_without_the_tags_is_refused_a_budget(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sampling.thinking_token_budget: tiny-llama .* <think> and </think>"):
        ThinkingLimit.of(load_tiny_model(tmp_path), sampling(3))
    assert ThoughtTags.of(tiny_tokenizer()) is None


def test_the_config_on_the_page_has_the_budget_and_the_end_that_it_tells_of(tmp_path: Path) -> None:
    (config,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "run.yaml").write_text(config)
    read = load_config(tmp_path / "run.yaml").sampling
    assert (read.thinking_token_budget, read.max_new_tokens, read.thinking_end) == (512, 768, "\n</think>\n\n")


def rollout(model: LanguageModel, opened: str, text: str) -> Rollout:
    ids = tuple(model.tokenizer(text).input_ids)
    return Rollout(
        prompt=Prompt(id="p", token_ids=(1,), item={}, opened=opened),
        token_ids=ids,
        behaviour_logprobs=(-1.0,) * len(ids),
        text=text,
        finish_reason=FinishReason.STOP,
    )


def test_thoughts_are_told_from_answers_and_their_tokens_counted(model: LanguageModel, tmp_path: Path) -> None:
    reader = ThoughtReader.of(model.tokenizer)
    read = reader.read(rollout(model, "<think>\n", "so</think>\n\n7"))
    assert (read.text[read.answer_start :], read.reasoning_tokens) == ("7", 2)
    read = reader.read(rollout(model, "", "7"))
    assert (read.answer_start, read.reasoning_tokens) == (0, 0)
    plain = load_tiny_model(tmp_path / "plain")
    read = ThoughtReader.of(plain.tokenizer).read(rollout(plain, "", "<think>so</think>7"))
    assert (read.answer_start, read.reasoning_tokens) == (0, None)


def test_a_model_thinks_apart_if_its_chat_template_knows_thoughts(qwen3_template: str) -> None:
    tokenizer = tiny_tokenizer()
    assert not thinks_apart(tokenizer)
    for template, expected in (
        (qwen3_template, True),
        ({"default": "{{ messages }}", "tool_use": "<think>"}, True),
        ({"default": "{{ messages }}"}, False),
        (None, False),
    ):
        tokenizer.chat_template = template
        assert thinks_apart(tokenizer) == expected
