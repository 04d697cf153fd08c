from __future__ import annotations

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from verifine.rollout.native.choose import BIN, Draws, RowSettings, choose_tokens, choose_tokens_by_row

PROBABILITIES = torch.tensor([0.5, 0.25, 0.0, 0.25, 0.0])


def choose(draw: float, temperature: float = 1.0) -> tuple[int, float]:
    draws = Draws(rows=torch.tensor([0]), uniforms=torch.tensor([draw], dtype=torch.float64))
    tokens, logprobs = choose_tokens(PROBABILITIES.log()[None], draws, temperature)
    return int(tokens[0]), float(logprobs[0])


def test_a_draw_picks_the_token_whose_share_it_falls_into() -> None:
    assert [choose(draw)[0] for draw in (0.0, 0.49, 0.51, 0.74, 0.76, 0.999999999)] == [0, 0, 1, 1, 3, 3]


@given(st.integers(1, 3 * BIN), st.floats(0, 1, exclude_max=True), st.integers(0, 99))
def test_a_draw_from_a_large_vocabulary_is_where_a_running_sum_passes_it(size: int, draw: float, seed: int) -> None:
    logits = 3 * torch.randn(2, size, generator=torch.Generator().manual_seed(seed))
    draws = Draws(rows=torch.tensor([1, 0, 1]), uniforms=torch.tensor([draw, draw, 0.0], dtype=torch.float64))
    tokens, logprobs = choose_tokens(logits, draws, 1.0)
    probabilities = torch.softmax(logits, dim=-1).double()
    for row, token, uniform in zip((1, 0, 1), tokens.tolist(), (draw, draw, 0.0), strict=True):
        running = probabilities[row].cumsum(dim=0)
        before = running[token] - probabilities[row, token]
        assert before - 1e-6 <= uniform * running[-1] <= running[token] + 1e-6
    torch.testing.assert_close(logprobs, torch.log_softmax(logits, dim=-1)[[1, 0, 1], tokens], rtol=1e-5, atol=1e-5)


@given(st.floats(0, 1, exclude_max=True))
@example(1 - 2**-53)
def test_a_token_without_probability_is_never_picked(draw: float) -> None:
    assert choose(draw)[0] in (0, 1, 3)


def test_the_logprob_is_that_of_the_tempered_distribution() -> None:
    sharpened = PROBABILITIES**2 / (PROBABILITIES**2).sum()
    token, logprob = choose(0.9, temperature=0.5)
    assert token == 3
    torch.testing.assert_close(torch.tensor(logprob), sharpened[3].log())


def test_greedy_picks_the_likeliest_and_reports_its_untempered_logprob() -> None:
    token, logprob = choose(0.99, temperature=0.0)
    assert token == 0
    torch.testing.assert_close(torch.tensor(logprob), torch.tensor(0.5).log())


def test_rows_may_be_drawn_from_in_different_ways() -> None:
    logits = torch.randn(4, 700, generator=torch.Generator().manual_seed(0))
    draws = Draws(
        rows=torch.tensor([0, 0, 1, 2, 2, 3, 3]), uniforms=torch.rand(7, generator=torch.Generator().manual_seed(1))
    )
    settings = [(1.0, 1.0), (0.0, 1.0), (0.7, 0.5), (1.0, 1.0)]
    tokens, logprobs = choose_tokens_by_row(
        logits, draws, [RowSettings(temperature=temperature, top_p=top_p) for temperature, top_p in settings]
    )
    for place, (row, uniform) in enumerate(zip(draws.rows, draws.uniforms, strict=True)):
        alone = Draws(rows=torch.tensor([0]), uniforms=uniform[None])
        token, logprob = choose_tokens(logits[row][None], alone, *settings[row])
        assert (tokens[place], logprobs[place]) == (token[0], logprob[0])


def test_a_nucleus_is_the_fewest_tokens_that_reach_the_share() -> None:
    probabilities = torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15])
    uniforms = torch.linspace(0, 1, 2001)[:-1]
    draws = Draws(rows=torch.zeros(2000, dtype=torch.long), uniforms=uniforms)
    for top_p, kept in (
        (0.0, {1}),
        (0.4, {1}),
        (0.41, {1, 3}),
        (0.7, {1, 3}),
        (0.8, {1, 3, 4}),
        (1.0, {0, 1, 2, 3, 4}),
    ):
        tokens, logprobs = choose_tokens(probabilities.log()[None], draws, 1.0, top_p)
        assert set(tokens.tolist()) == kept
        whole = sum(probabilities[token].item() for token in kept)
        for token, logprob in zip(tokens.tolist(), logprobs.tolist(), strict=True):
            assert logprob == pytest.approx(math.log(probabilities[token].item() / whole), abs=1e-5)
