"""Log-probabilities of tokens from hidden states, without holding the logits of all tokens at once."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.projection import add_product_to
from verifine.models.network.vocabulary import VocabularyHead

CHUNK_LOGITS = 1 << 23
"""Logits computed at a time: 32 MiB in float32."""

GRADIENT_BYTES = 1 << 27
"""What the gradients of logits that are multiplied at a time take."""


def token_logprobs(
    hidden: Float[Tensor, "N H"],
    head: VocabularyHead,
    targets: Int[Tensor, " N"],
    temperature: float,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The log-probability of each target token, and the entropy of its distribution.

    The distribution is `softmax(logits / temperature)` over the ids with a token, in float32 or better. Matrix products
    are computed in the type of `hidden`. Logits are computed in chunks, and again in the backward pass.
    """
    logprobs, entropy = _TokenLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, targets, temperature, head
    )
    return logprobs, entropy


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, parameter: Tensor, targets: Tensor, temperature: float, head: VocabularyHead
    ) -> tuple[Tensor, Tensor]:
        weight, exact = parameter.to(hidden.dtype), _exact(hidden.dtype)
        logprobs = torch.empty(len(targets), dtype=exact, device=hidden.device)
        entropy = torch.empty_like(logprobs)
        for rows in _chunks(len(targets), len(weight)):
            logits = _logits(hidden[rows], weight, head, temperature)
            probabilities = torch.softmax(logits, dim=-1)
            highest, likeliest = probabilities.max(dim=-1, keepdim=True)
            log_total = logits.gather(1, likeliest) - highest.log()
            logprobs[rows] = (logits.gather(1, targets[rows, None]) - log_total).squeeze(1)
            entropy[rows] = log_total.squeeze(1) - torch.bmm(probabilities[:, None], logits[..., None]).flatten()
        ctx.save_for_backward(hidden, targets)
        ctx.head = head  # with the parameter itself, because the backward pass adds to its gradient
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logprobs, entropy

    @staticmethod
    def backward(
        ctx: Any, grad_logprobs: Tensor | None, grad_entropy: Tensor | None
    ) -> tuple[Tensor, Tensor | None, None, None, None]:
        """An incoming gradient is None if that output was not used; a returned one is None if it is not needed."""
        hidden, targets = ctx.saved_tensors
        head, parameter = ctx.head, ctx.head.weight
        weight = parameter.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden)
        # The vocabulary is large, so its gradient is added to the parameter's own if that exists.
        gathered = parameter.grad if parameter.is_leaf else None
        grad_head = None
        if ctx.needs_input_grad[1]:
            grad_head = torch.zeros_like(parameter, dtype=_exact(hidden.dtype)) if gathered is None else gathered
        # The products are of several chunks at a time: fewer rows would read and write the whole matrix for little.
        for part in _parts(len(targets), len(weight), hidden.element_size()):
            grad_logits = hidden.new_empty(part.stop - part.start, len(weight))
            for chunk in _chunks(len(grad_logits), len(weight)):
                rows = slice(part.start + chunk.start, part.start + chunk.stop)
                logits = _logits(hidden[rows], weight, head, ctx.temperature)
                slope, bend = (
                    None if grad is None else grad[rows, None] / ctx.temperature
                    for grad in (grad_logprobs, grad_entropy)
                )
                grad_logits[chunk] = _grad_logits(logits, targets[rows, None], slope, bend)
            grad_hidden[part] = grad_logits @ weight
            if grad_head is not None:
                add_product_to(grad_head, grad_logits.T, hidden[part])
        returned = None if grad_head is None or gathered is not None else grad_head.to(parameter.dtype)
        return grad_hidden, returned, None, None, None


def _logits(
    hidden: Float[Tensor, "R H"], weight: Float[Tensor, "V H"], head: VocabularyHead, temperature: float
) -> Float[Tensor, "R V"]:
    """In float32 or better. Rows are as long as the vocabulary, so there are as few operations as possible.

    `weight` is that of `head` in the type of `hidden`.
    """
    logits = head.without_missing((hidden @ weight.T).to(_exact(hidden.dtype)))
    return logits if temperature == 1 else logits.div_(temperature)


def _grad_logits(
    logits: Float[Tensor, "R V"],
    targets: Int[Tensor, "R 1"],
    slope: Float[Tensor, "R 1"] | None,
    bend: Float[Tensor, "R 1"] | None,
) -> Float[Tensor, "R V"]:
    """The gradient of slope * logprob + bend * entropy: slope (one_hot - p) - bend p (log p + entropy)."""
    probabilities = torch.softmax(logits, dim=-1)
    slope = torch.zeros_like(logits[:, :1]) if slope is None else slope
    if bend is None:
        grad_logits = probabilities.mul_(-slope)
    else:
        log_probabilities = torch.log_softmax(logits, dim=-1)
        entropy = -(probabilities * log_probabilities).sum(dim=-1, keepdim=True)
        grad_logits = probabilities.mul_(log_probabilities.add_(entropy).mul_(-bend).sub_(slope))
    return grad_logits.scatter_add_(1, targets, slope)


def _exact(dtype: torch.dtype) -> torch.dtype:
    """The type of logits and sums: float32, or float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


def _chunks(length: int, vocabulary: int) -> list[slice]:
    return _slices(length, max(CHUNK_LOGITS // vocabulary, 1))


def _parts(length: int, vocabulary: int, element_bytes: int) -> list[slice]:
    return _slices(length, max(GRADIENT_BYTES // (vocabulary * element_bytes), 1))


def _slices(length: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
