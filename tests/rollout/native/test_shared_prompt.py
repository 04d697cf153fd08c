from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.rollout.native.shared_prompt import Grouping, KeyValues, attend_in_parts, attend_to

CPU = torch.device("cpu")
GROUPS = st.lists(st.integers(0, 3), min_size=1, max_size=8).map(lambda g: [sorted(set(g)).index(each) for each in g])
"""Which group each row belongs to; every group has a row."""


@given(groups=GROUPS)
def test_by_row_undoes_by_group(groups: list[int]) -> None:
    grouping = Grouping.of(groups, max(groups) + 1, CPU)
    rows = torch.arange(len(groups) * 12.0).view(len(groups), 2, 2, 3)
    assert torch.equal(grouping.by_row(grouping.by_group(rows)), rows)


@given(groups=GROUPS, seed=st.integers(0, 99))
def test_each_row_attends_to_its_prompt_and_its_own_tokens(groups: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows, count = len(groups), max(groups) + 1

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    # Two key-value heads with two query heads each, five tokens of prompt and three of their own.
    key_values = KeyValues(
        prompt_keys=draw(count, 2, 5, 4),
        prompt_values=draw(count, 2, 5, 4),
        own_keys=draw(rows, 2, 3, 4),
        own_values=draw(rows, 2, 3, 4),
    )
    queries = draw(4, rows, 4)
    bias = draw(rows, 1, 1, 8)
    found = attend_to(key_values, queries, Grouping.of(groups, count, CPU), bias)
    for row, group in enumerate(groups):
        for head in range(4):
            keys = torch.cat((key_values.prompt_keys[group, head // 2], key_values.own_keys[row, head // 2]))
            values = torch.cat((key_values.prompt_values[group, head // 2], key_values.own_values[row, head // 2]))
            weights = (keys @ queries[head, row] + bias[row, 0, 0]).softmax(dim=0)
            torch.testing.assert_close(found[head, row], weights @ values)


@given(groups=GROUPS, seed=st.integers(0, 99), masked=st.booleans())
def test_attention_in_parts_is_attention_to_both_at_once(groups: list[int], seed: int, masked: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows, count = len(groups), max(groups) + 1

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def hide(count: int, tokens: int) -> torch.Tensor:
        """All tokens behind a length of at least one."""
        lengths = torch.randint(1, tokens + 1, (count, 1), generator=generator)
        return torch.zeros(count, tokens, dtype=torch.float64).masked_fill(torch.arange(tokens) >= lengths, -torch.inf)

    key_values = KeyValues(
        prompt_keys=draw(count, 2, 5, 4),
        prompt_values=draw(count, 2, 5, 4),
        own_keys=draw(rows, 2, 3, 4),
        own_values=draw(rows, 2, 3, 4),
    )
    queries, grouping = draw(4, rows, 4), Grouping.of(groups, count, CPU)
    on_prompt, on_own = (hide(count, 5), hide(rows, 3)) if masked else (torch.zeros(count, 5), torch.zeros(rows, 3))
    at_once = attend_to(
        key_values, 0.7 * queries, grouping, torch.cat((on_prompt[groups], on_own), dim=1)[:, None, None]
    )
    biases = (on_prompt[:, None, None], on_own[:, None, None]) if masked else (None, None)
    torch.testing.assert_close(attend_in_parts(key_values, queries, grouping, biases, 0.7), at_once)
