from __future__ import annotations

import math

import pytest
import torch

from verifine.models.network import logprobs as module
from verifine.models.network.logprobs import token_logprobs
from verifine.models.network.vocabulary import VocabularyHead


def inputs(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(7, 5, generator=generator, dtype=dtype)
    head = torch.randn(11, 5, generator=generator, dtype=dtype)
    return hidden, head, torch.randint(0, 11, (7,), generator=generator)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_logprobs_and_entropy_are_those_of_the_whole_softmax(temperature: float) -> None:
    hidden, head, targets = inputs(torch.float32)
    distribution = (hidden @ head.T / temperature).log_softmax(dim=-1)
    logprobs, entropy = token_logprobs(hidden, VocabularyHead(weight=head), targets, temperature)
    torch.testing.assert_close(logprobs, distribution.gather(1, targets[:, None])[:, 0])
    torch.testing.assert_close(entropy, -(distribution.exp() * distribution).sum(dim=-1))


def test_gradients_are_those_of_the_whole_softmax() -> None:
    hidden, head, targets = inputs(torch.float32)
    slopes = torch.linspace(-1, 1, 7)
    results = []
    for compute in (
        lambda h, w: token_logprobs(h, VocabularyHead(weight=w), targets, 0.7)[0],
        lambda h, w: (h @ w.T / 0.7).log_softmax(dim=-1).gather(1, targets[:, None])[:, 0],
    ):
        leaves = hidden.clone().requires_grad_(), head.clone().requires_grad_()
        results.append(torch.autograd.grad((slopes * compute(*leaves)).sum(), leaves))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("chunk", [1, 2, 100])
def test_gradients_of_both_outputs_agree_with_finite_differences(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head, targets = inputs(torch.float64)
    monkeypatch.setattr(module, "BLOCK_LOGITS", chunk * head.shape[0] // torch.get_num_threads())
    leaves = hidden.requires_grad_(), head.requires_grad_()
    assert torch.autograd.gradcheck(lambda h, w: token_logprobs(h, VocabularyHead(weight=w), targets, 0.7), leaves)
    assert torch.autograd.gradcheck(lambda h, w: token_logprobs(h, VocabularyHead(weight=w), targets, 0.7)[1], leaves)


def test_a_frozen_head_gets_no_gradient() -> None:
    hidden, head, targets = inputs(torch.float64)
    logprobs, _ = token_logprobs(hidden.requires_grad_(), VocabularyHead(weight=head), targets, 1.0)
    logprobs.sum().backward()
    assert hidden.grad is not None
    assert head.grad is None


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, head, targets = inputs(torch.float32)
    whole, _ = token_logprobs(hidden, VocabularyHead(weight=head), targets, 1.0)
    monkeypatch.setattr(module, "BLOCK_LOGITS", 2 * head.shape[0] // torch.get_num_threads())
    chunked, _ = token_logprobs(hidden, VocabularyHead(weight=head), targets, 1.0)
    torch.testing.assert_close(chunked, whole)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_plausible_entropy_is_that_of_the_likely_tokens_alone(temperature: float) -> None:
    hidden, head, targets = inputs(torch.float64)
    probabilities = (hidden @ head.T / temperature).softmax(dim=-1)
    logprobs, entropy = token_logprobs(hidden, VocabularyHead(weight=head), targets, temperature, entropy_min_p=0.2)
    torch.testing.assert_close(logprobs, probabilities.gather(1, targets[:, None])[:, 0].log())
    for row, found in zip(probabilities.tolist(), entropy.tolist(), strict=True):
        kept = [each for each in row if each >= 0.2 * max(row)]
        assert 1 <= len(kept) < len(row)
        assert found == pytest.approx(-sum(each / sum(kept) * math.log(each / sum(kept)) for each in kept))


@pytest.mark.parametrize("chunk", [1, 100])
def test_gradients_of_plausible_entropy_agree_with_finite_differences(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, head, targets = inputs(torch.float64)
    monkeypatch.setattr(module, "BLOCK_LOGITS", chunk * head.shape[0] // torch.get_num_threads())
    leaves = hidden.requires_grad_(), head.requires_grad_()

    def both(h: torch.Tensor, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return token_logprobs(h, VocabularyHead(weight=w), targets, 0.7, entropy_min_p=0.2)

    assert torch.autograd.gradcheck(both, leaves)
    assert torch.autograd.gradcheck(lambda h, w: both(h, w)[1], leaves)


def test_tokens_that_are_not_plausible_get_no_gradient_of_the_entropy() -> None:
    hidden, head, _ = inputs(torch.float64)
    weight = VocabularyHead(weight=head.requires_grad_())
    _, entropy = token_logprobs(hidden[:1], weight, torch.tensor([0]), 0.7, entropy_min_p=0.2)
    entropy.sum().backward()
    assert head.grad is not None
    probabilities = (hidden[0] @ head.T / 0.7).softmax(dim=-1)
    counts = probabilities >= 0.2 * probabilities.max()
    assert 1 < int(counts.sum()) < len(counts)
    assert (head.grad.abs().sum(dim=1) > 0).tolist() == counts.tolist()
