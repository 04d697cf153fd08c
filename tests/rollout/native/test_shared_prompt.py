from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from verifine.rollout.native.shared_prompt import Grouping, KeyValues, attend_part, attend_to

CPU = torch.device("cpu")
SIZES = st.lists(st.integers(1, 4), min_size=1, max_size=4)
"""How many rows each group has."""


def members(sizes: list[int], order: list[int]) -> list[list[int]]:
    """The rows of each group, if rows lie in this order."""
    lying = iter(order)
    return [[next(lying) for _ in range(size)] for size in sizes]


@given(sizes=SIZES, data=st.data())
def test_every_row_is_at_its_place_of_the_grid(sizes: list[int], data: st.DataObject) -> None:
    own = members(sizes, data.draw(st.permutations(range(sum(sizes)))))
    grouping = Grouping.of(own, sum(sizes), CPU)
    rows = torch.arange(sum(sizes) * 12.0).view(-1, 2, 2, 3)
    given_back = grouping.by_row(grouping.by_group(rows))
    for group, of_group in enumerate(own):
        for rank, row in enumerate(of_group):
            assert torch.equal(given_back[group * max(sizes) + rank], rows[row])


def attention(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Of one query to keys [K, D]."""
    return (keys @ query + bias).softmax(dim=0) @ values


def test_each_row_attends_to_its_prompt_and_its_own_tokens() -> None:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    # Three groups of two rows, two key-value heads with two query heads each, five tokens of prompt and three own.
    key_values = KeyValues(
        prompt_keys=draw(3, 2, 5, 4),
        prompt_values=draw(3, 2, 5, 4),
        own_keys=draw(6, 2, 3, 4),
        own_values=draw(6, 2, 3, 4),
    )
    queries, bias = draw(4, 6, 4), draw(6, 1, 1, 8)
    found = attend_to(key_values, queries, Grouping(shape=(3, 2)), bias)
    for row in range(6):
        for head in range(4):
            keys = torch.cat((key_values.prompt_keys[row // 2, head // 2], key_values.own_keys[row, head // 2]))
            values = torch.cat((key_values.prompt_values[row // 2, head // 2], key_values.own_values[row, head // 2]))
            torch.testing.assert_close(found[head, row], attention(queries[head, row], keys, values, bias[row, 0, 0]))


@given(seed=st.integers(0, 99), masked=st.booleans(), first_sees_none=st.booleans())
def test_parts_that_are_merged_are_attention_to_both_at_once(seed: int, masked: bool, first_sees_none: bool) -> None:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def hide(tokens: int, least: int) -> Tensor:
        """All tokens behind a length."""
        lengths = torch.randint(least, tokens + 1, (3, 1, 1, 1), generator=generator)
        hidden = torch.arange(tokens) >= (lengths if masked else tokens)
        return torch.zeros(3, 1, 1, tokens, dtype=torch.float64).masked_fill(hidden, -torch.inf)

    query, scale = draw(3, 2, 3, 4), 0.7
    keys, values = [draw(3, 2, 5, 4), draw(3, 2, 6, 4)], [draw(3, 2, 5, 4), draw(3, 2, 6, 4)]
    biases = [hide(5, 0 if first_sees_none else 1), hide(6, 1)]
    given = biases if masked else [None, None]
    first = attend_part(query, keys[0], values[0], given[0], scale, may_see_none=first_sees_none)
    merged = first.merge(attend_part(query, keys[1], values[1], given[1], scale))
    for row in range(3):
        for head in range(2):
            for place in range(3):
                wanted = attention(
                    scale * query[row, head, place],
                    torch.cat([each[row, head] for each in keys]),
                    torch.cat([each[row, head] for each in values]),
                    torch.cat([each[row, 0, 0] for each in biases]),
                )
                torch.testing.assert_close(merged[row, head, place], wanted)
