from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.data import PromptCounts, PromptHistory
from verifine.errors import DataError
from verifine.training.source import PromptLengths, PromptSource
from verifine.types import Example, Message, Prompt

sizes = st.lists(st.integers(min_value=1, max_value=300), min_size=1, max_size=60)


def examples(lengths: list[int]) -> list[Example]:
    """Examples whose prompts have these lengths."""
    return [
        Example(id=str(index), messages=(Message(role="user", content="x" * length),), item={"n": index})
        for index, length in enumerate(lengths)
    ]


def render(example: Example) -> Prompt:
    return Prompt(id=example.id, token_ids=(1,) * len(example.messages[0].content), item=example.item)


def refuse_odd(example: Example) -> Prompt:
    if int(example.id) % 2:
        raise DataError(f"line {example.id}: too long")
    return render(example)


@given(sizes, st.integers(0, 99), st.integers(0, 100), st.integers(0, 10))
def test_seed_and_position_decide_what_is_drawn(lengths: list[int], seed: int, position: int, count: int) -> None:
    whole = PromptSource(examples(lengths), render, seed).draw(0, position + count)
    assert PromptSource(examples(lengths), render, seed).draw(position, count) == whole[position:]
    assert len({prompt.id for prompt in whole}) == len(whole)


def test_a_prompt_is_rendered_when_it_is_drawn() -> None:
    rendered: list[str] = []

    def watched(example: Example) -> Prompt:
        rendered.append(example.id)
        return render(example)

    source = PromptSource(examples([1] * 100), watched, seed=0)
    assert rendered == []
    assert [prompt.id for prompt in source.draw(0, 3)] == rendered
    assert len(rendered) == 3


def seldom(counts: PromptCounts) -> float:
    return 0.1 if counts.right else 1.0


def test_prompts_are_left_out_by_what_is_remembered_of_them_in_every_epoch() -> None:
    source = PromptSource(examples([1] * 5), render, seed=0, chance=seldom)
    nothing = source.select(0, 10, PromptHistory())
    assert list(nothing.prompts) == source.draw(0, 10)
    assert nothing.skipped == ()
    assert nothing.example_ids == tuple(prompt.id.partition("@")[0] for prompt in nothing.prompts)
    assert {prompt.id for prompt in nothing.prompts} > {"0", "0@1"}

    known = PromptHistory().note([(name, PromptCounts(right=8)) for name in ("1", "3")])
    some = source.select(0, 30, known)
    assert set(some.skipped) == {"1", "3"}
    assert some.position == 30 + len(some.skipped)
    assert source.select(0, 30, known) == some
    whole = [prompt.id for prompt in source.draw(0, some.position)]
    assert [name for name in whole if name.partition("@")[0] in ("0", "2", "4")] == [
        prompt.id for prompt, name in zip(some.prompts, some.example_ids, strict=True) if name in ("0", "2", "4")
    ]


def test_a_prompt_that_is_left_out_is_not_rendered() -> None:
    rendered: list[str] = []

    def watched(example: Example) -> Prompt:
        rendered.append(example.id)
        return render(example)

    source = PromptSource(examples([1] * 6), watched, seed=0, chance=seldom)
    selected = source.select(0, 8, PromptHistory().note([("2", PromptCounts(right=8))]))
    assert set(selected.skipped) == {"2"}
    assert rendered == list(selected.example_ids)


@given(sizes)
def test_lengths_are_those_of_a_sorted_list(lengths: list[int]) -> None:
    measured = PromptSource(examples(lengths), render, seed=0).measure()
    ordered = sorted(lengths)
    assert (measured.prompts, measured.shortest, measured.longest) == (len(lengths), ordered[0], ordered[-1])
    # By definition: the smallest length such that at least this share of all are not longer.
    for share, value in ((50, measured.median), (95, measured.p95)):
        assert 100 * sum(length <= value for length in lengths) >= share * len(lengths)
        assert 100 * sum(length < value for length in lengths) < share * len(lengths)


def test_lengths_by_hand_are_measured_once() -> None:
    rendered: list[str] = []

    def watched(example: Example) -> Prompt:
        rendered.append(example.id)
        return render(example)

    source = PromptSource(examples([5, 1, 4, 2, 3]), watched, seed=0)
    assert source.measure() == PromptLengths(prompts=5, shortest=1, median=3, p95=5, longest=5)
    assert source.measure() == source.measure()
    assert rendered == ["0", "1", "2", "3", "4"]


def test_lengths_are_counted_without_rendering() -> None:
    def never(_: Example) -> Prompt:
        raise AssertionError

    source = PromptSource(examples([5, 1, 4]), never, seed=0, count_tokens=lambda example: 10 * int(example.id))
    assert source.measure() == PromptLengths(prompts=3, shortest=0, median=10, p95=20, longest=20)


@pytest.mark.parametrize(("count", "told"), [(2, 1), (10, 5), (14, 5)])
def test_prompts_that_do_not_fit_are_told_the_first_five(count: int, told: int) -> None:
    with pytest.raises(DataError) as caught:
        PromptSource(examples([1] * count), refuse_odd, seed=0).measure()
    lines = str(caught.value).splitlines()
    assert lines[:told] == [f"line {index}: too long" for index in range(1, 2 * told, 2)]
    assert lines[told:] == (["and 2 more"] if count == 14 else [])
