"""Log-probabilities of tokens from hidden states, without holding the logits of all tokens at once."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.network.projection import add_product_to
from verifine.models.network.vocabulary import VocabularyHead

PART_BYTES = 1 << 27
"""What the logits that one product gives take. Fewer rows would read and write the whole matrix for little."""

BLOCK_LOGITS = 1 << 18
"""Logits of a block for each thread of a processor: a few rows, which stay in its cache from operation to operation."""

ACCELERATOR_BLOCK_LOGITS = 1 << 23
"""Where starting an operation costs more than reading memory."""


def token_logprobs(
    hidden: Float[Tensor, "N H"],
    head: VocabularyHead,
    targets: Int[Tensor, " N"],
    temperature: float,
    entropy_min_p: float = 0.0,
) -> tuple[Float[Tensor, " N"], Float[Tensor, " N"]]:
    """The log-probability of each target token, and the entropy of its distribution.

    The distribution is `softmax(logits / temperature)` over the ids with a token, in float32 or better. Matrix products
    are computed in the type of `hidden`. Logits are computed in parts, and again in the backward pass.

    With `entropy_min_p` the entropy is that of the plausible tokens, those with at least this share of the likeliest
    one's probability, as if there were no others; which tokens they are has no gradient.
    """
    logprobs, entropy = _TokenLogprobs.apply(  # type: ignore[no-untyped-call]
        hidden, head.weight, targets, temperature, head, entropy_min_p
    )
    return logprobs, entropy


class _TokenLogprobs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        parameter: Tensor,
        targets: Tensor,
        temperature: float,
        head: VocabularyHead,
        entropy_min_p: float,
    ) -> tuple[Tensor, Tensor]:
        weight = parameter.to(hidden.dtype)
        logprobs = torch.empty(len(targets), dtype=_exact(hidden.dtype), device=hidden.device)
        entropy, log_totals, middles = (torch.empty_like(logprobs) for _ in range(3))
        for part in _parts(hidden, weight):
            products = hidden[part] @ weight.T
            for block in _blocks(products):
                rows = _within(part, block)
                logits = _logits(products[block], head, temperature)
                probabilities = torch.softmax(logits, dim=-1)
                # The log-total from the likeliest token's logit and probability: `logsumexp` takes ten times as long.
                highest = probabilities.amax(dim=-1)
                log_totals[rows] = logits.amax(dim=-1) - highest.log()
                logprobs[rows] = logits.gather(1, targets[rows, None]).squeeze(1) - log_totals[rows]
                log_counted = log_totals[rows]
                if entropy_min_p:
                    log_counted = log_counted + _keep_plausible(probabilities, highest, entropy_min_p).log()
                middles[rows] = torch.linalg.vecdot(probabilities, logits)
                entropy[rows] = log_counted - middles[rows]
        ctx.save_for_backward(hidden, targets, middles)
        ctx.entropy_min_p = entropy_min_p
        ctx.head = head  # with the parameter itself, because the backward pass adds to its gradient
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)
        return logprobs, entropy

    @staticmethod
    def backward(
        ctx: Any, grad_logprobs: Tensor | None, grad_entropy: Tensor | None
    ) -> tuple[Tensor, Tensor | None, None, None, None, None]:
        """An incoming gradient is None if that output was not used; a returned one is None if it is not needed."""
        hidden, targets, middles = ctx.saved_tensors
        head, parameter = ctx.head, ctx.head.weight
        weight = parameter.to(hidden.dtype)
        grad_hidden = torch.empty_like(hidden)
        # The vocabulary is large, so its gradient is added to the parameter's own if that exists.
        gathered = parameter.grad if parameter.is_leaf else None
        grad_head = None
        if ctx.needs_input_grad[1]:
            grad_head = torch.zeros_like(parameter, dtype=_exact(hidden.dtype)) if gathered is None else gathered
        for part in _parts(hidden, weight):
            products = hidden[part] @ weight.T  # which become their own gradients, a block at a time
            for block in _blocks(products):
                rows = _within(part, block)
                slope, bend = (
                    None if grad is None else grad[rows, None] / ctx.temperature
                    for grad in (grad_logprobs, grad_entropy)
                )
                logits = _logits(products[block], head, ctx.temperature)
                stretch = None if head.transform.is_identity else head.transform.slope(logits * ctx.temperature)
                middle, target = middles[rows, None], targets[rows, None]
                gradient = _grad_logits(logits, middle, target, slope, bend, ctx.entropy_min_p)
                products[block] = gradient if stretch is None else gradient.mul_(stretch)
            grad_hidden[part] = products @ weight
            if grad_head is not None:
                add_product_to(grad_head, products.T, hidden[part])
        returned = None if grad_head is None or gathered is not None else grad_head.to(parameter.dtype)
        return grad_hidden, returned, None, None, None, None


def _logits(products: Float[Tensor, "R V"], head: VocabularyHead, temperature: float) -> Float[Tensor, "R V"]:
    """A copy of `products` in float32 or better. Rows are as long as the vocabulary, so there are few operations."""
    logits = head.finish(products.to(_exact(products.dtype), copy=True))
    return logits if temperature == 1 else logits.div_(temperature)


def _grad_logits(
    logits: Float[Tensor, "R V"],
    middle: Float[Tensor, "R 1"],
    targets: Int[Tensor, "R 1"],
    slope: Float[Tensor, "R 1"] | None,
    bend: Float[Tensor, "R 1"] | None,
    entropy_min_p: float,
) -> Float[Tensor, "R V"]:
    """The gradient of slope * logprob + bend * entropy: slope (one_hot - p) - bend q (log q + entropy).

    q is p, or p of the plausible tokens alone. `middle` is the mean of the logits under q, so that logit - middle is
    log q + entropy. `logits` are overwritten.
    """
    probabilities = torch.softmax(logits, dim=-1)
    slope = torch.zeros_like(middle) if slope is None else slope
    if bend is None:
        grad_logits = probabilities.mul_(-slope)
    elif not entropy_min_p:
        grad_logits = logits.sub_(middle).mul_(-bend).sub_(slope).mul_(probabilities)
    else:
        moved = probabilities * slope
        _keep_plausible(probabilities, probabilities.amax(dim=-1), entropy_min_p)
        grad_logits = logits.sub_(middle).mul_(-bend).mul_(probabilities).sub_(moved)
    return grad_logits.scatter_add_(1, targets, slope)


def _keep_plausible(
    probabilities: Float[Tensor, "R V"], highest: Float[Tensor, " R"], min_p: float
) -> Float[Tensor, " R"]:
    """Leaves only probabilities of at least `min_p` times the highest, so that they add up to 1; returns their sum."""
    probabilities.masked_fill_(probabilities < min_p * highest[:, None], 0)
    kept = probabilities.sum(dim=-1)
    probabilities.div_(kept[:, None])
    return kept


def _exact(dtype: torch.dtype) -> torch.dtype:
    """The type of logits and sums: float32, or float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


def _parts(hidden: Float[Tensor, "N H"], weight: Float[Tensor, "V H"]) -> list[slice]:
    return _slices(len(hidden), PART_BYTES // (len(weight) * hidden.element_size()))


def _blocks(products: Float[Tensor, "R V"]) -> list[slice]:
    is_processor = products.device.type == "cpu"
    logits = BLOCK_LOGITS * torch.get_num_threads() if is_processor else ACCELERATOR_BLOCK_LOGITS
    return _slices(len(products), logits // products.shape[1])


def _within(part: slice, block: slice) -> slice:
    """The rows of a block of a part, on the whole axis."""
    return slice(part.start + block.start, part.start + block.stop)


def _slices(length: int, size: int) -> list[slice]:
    size = max(size, 1)
    return [slice(start, min(start + size, length)) for start in range(0, length, size)]
