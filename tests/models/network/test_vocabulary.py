from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter

from verifine.models.network import logprobs as module
from verifine.models.network.logprobs import token_logprobs
from verifine.models.network.vocabulary import LogitTransform, Vocabulary, VocabularyHead

VOCABULARY = Vocabulary.of([0, 1, 2, 4, 5, 7])
ROWS = 10
MISSING = [3, 6, 8, 9]
KNOWN = [0, 1, 2, 4, 5, 7]
TARGETS = [5, 0, 7, 1, 4]
"""Known ids; in a head of the known rows alone they stand at these places:"""
PLACES = [4, 0, 5, 1, 3]


def head_of(weight: Tensor) -> VocabularyHead:
    return VocabularyHead(weight=weight, missing=torch.tensor(VOCABULARY.missing(len(weight))))


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Hidden states, and a weight that would make missing ids by far the likeliest."""
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(len(TARGETS), 6, generator=generator, dtype=dtype)
    weight = torch.randn(ROWS, 6, generator=generator, dtype=dtype)
    weight[MISSING] *= 40
    return hidden, weight


def test_a_vocabulary_knows_its_size_its_gaps_and_its_padding() -> None:
    assert Vocabulary(size=8, gaps=frozenset({3, 6})) == VOCABULARY
    assert VOCABULARY.missing(ROWS) == (3, 6, 8, 9)
    assert [token_id for token_id in range(-1, ROWS) if token_id in VOCABULARY] == KNOWN
    assert VOCABULARY.lacks(torch.tensor([-1, 0, 3, 7, 8])).tolist() == [True, False, True, False, True]


def test_a_vocabulary_without_gaps_lacks_only_what_is_beyond_it() -> None:
    whole = Vocabulary.of(range(5))
    assert whole == Vocabulary(size=5)
    assert whole.missing(5) == ()
    assert whole.lacks(torch.tensor([0, 4, 5])).tolist() == [False, False, True]


@pytest.mark.parametrize("temperature", [1.0, 0.3, 10.0])
@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_log_probabilities_are_those_of_a_head_without_the_missing_rows(
    temperature: float, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK_LOGITS", chunk * ROWS // torch.get_num_threads())
    hidden, weight = inputs()
    found = token_logprobs(hidden, head_of(weight), torch.tensor(TARGETS), temperature)
    expected = token_logprobs(hidden, VocabularyHead(weight=weight[KNOWN]), torch.tensor(PLACES), temperature)
    for ours, alone in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, alone)


@pytest.mark.parametrize("has_gradient", [False, True])
def test_gradients_are_those_of_a_head_without_the_missing_rows(has_gradient: bool) -> None:
    """Of log-probabilities and of the entropy; those of missing rows are exactly 0."""
    hidden, weight = inputs()
    found: list[tuple[Tensor, Tensor]] = []
    for rows, targets, head in (
        (weight, TARGETS, head_of),
        (weight[KNOWN], PLACES, lambda w: VocabularyHead(weight=w)),
    ):
        states, parameter = hidden.clone().requires_grad_(), Parameter(rows.clone())
        parameter.grad = torch.zeros_like(parameter) if has_gradient else None
        logprobs, entropy = token_logprobs(states, head(parameter), torch.tensor(targets), 0.7)
        slopes = torch.linspace(-1, 1, len(TARGETS), dtype=torch.float64)
        (slopes * logprobs + 0.3 * entropy).sum().backward()
        assert states.grad is not None
        assert parameter.grad is not None
        found.append((states.grad, parameter.grad))
    (states_found, weight_found), (states_alone, weight_alone) = found
    torch.testing.assert_close(states_found, states_alone)
    torch.testing.assert_close(weight_found[KNOWN], weight_alone)
    assert not weight_found[MISSING].any()


def test_gradients_agree_with_finite_differences() -> None:
    hidden, weight = inputs()
    leaves = hidden.requires_grad_(), weight.requires_grad_()
    targets = torch.tensor(TARGETS)
    assert torch.autograd.gradcheck(lambda h, w: token_logprobs(h, head_of(w), targets, 0.7), leaves)


def test_missing_ids_are_exactly_impossible_in_bfloat16() -> None:
    hidden, weight = inputs(torch.bfloat16)
    logits = head_of(weight).logits(hidden)
    for temperature in (1.0, 10.0):
        probabilities = (logits.float() / temperature).softmax(dim=-1)
        assert not probabilities[:, MISSING].any()
        torch.testing.assert_close(probabilities.sum(dim=-1), torch.ones(len(TARGETS)))
    assert not set(logits.argmax(dim=-1).tolist()) & set(MISSING)


def test_a_head_of_tokens_alone_is_a_plain_product() -> None:
    hidden, weight = inputs(torch.float32)
    assert torch.equal(VocabularyHead(weight=weight).logits(hidden), torch.nn.functional.linear(hidden, weight))


TRANSFORMS = {
    "scaled": LogitTransform(scale=0.125),
    "capped": LogitTransform(cap=1.5),
    "scaled and capped": LogitTransform(scale=3.0, cap=2.0),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transformed_logits_are_what_the_formula_says(name: str) -> None:
    hidden, weight = inputs()
    transform = TRANSFORMS[name]
    products = transform.scale * hidden @ weight.T
    wanted = products if transform.cap is None else transform.cap * torch.tanh(products / transform.cap)
    head = VocabularyHead(weight=weight, transform=transform)
    torch.testing.assert_close(head.logits(hidden), wanted)
    logprobs, entropy = token_logprobs(hidden, head, torch.tensor(TARGETS), 0.7)
    every = (wanted / 0.7).log_softmax(dim=-1)
    torch.testing.assert_close(logprobs, every.gather(1, torch.tensor(TARGETS)[:, None]).squeeze(1))
    torch.testing.assert_close(entropy, -(every.exp() * every).sum(dim=-1))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_gradients_of_transformed_logits_agree_with_finite_differences(name: str) -> None:
    hidden, weight = inputs()
    leaves = hidden.requires_grad_(), (weight / 10).detach().requires_grad_()
    targets, missing = torch.tensor(TARGETS), torch.tensor(VOCABULARY.missing(ROWS))

    def logprobs(states: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        head = VocabularyHead(weight=rows, transform=TRANSFORMS[name], missing=missing)
        return token_logprobs(states, head, targets, 0.7)

    assert torch.autograd.gradcheck(logprobs, leaves)
