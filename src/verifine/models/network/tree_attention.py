"""Attention over a prefix tree on processors, with a backward pass that keeps nothing besides what the layer keeps."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.network.attention import FLASH, FLASH_BACKWARD, Heads, Masks, attend_blocks
from verifine.models.network.block_batches import BlockBatch, BlockBatches, batch_blocks
from verifine.models.network.tree import Tree

DENSE_SCORES = 1 << 17
"""Up to so many scores of a head, one product for all of them is faster in the backward pass than torch's tiles."""


class TreeAttention:
    """Every token of a tree attends to its own past. For CPUs; accelerators use `flex`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._masks = Masks(tree, tree.blocks)
        self._blocks: dict[tuple[int | None, int, int], BlockBatches] = {}

    def attend(self, heads: Heads) -> Tensor:
        if heads.query.device.type != "cpu":
            return attend_blocks(heads.query, heads.key, heads.value, self._masks.of(heads))
        shape = heads.window, heads.query.shape[0], heads.key.shape[0]
        if shape not in self._blocks:
            self._blocks[shape] = batch_blocks(self._tree, heads.window, heads.query, heads.key.shape[0])
        attended: Tensor = _AttendBlocks.apply(  # type: ignore[no-untyped-call]
            heads.query, heads.key, heads.value, self._blocks[shape], heads.scale
        )
        return attended


class _AttendBlocks(torch.autograd.Function):
    """Plain autograd would keep every block's copy of its keys, and make a gradient of the whole axis for each."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, blocks: BlockBatches, scale: float) -> Tensor:
        gathered = _Gathered.of(blocks, query, key, value)
        attended = torch.empty_like(gathered.queries)
        log_totals = []
        for batch in blocks.batches:
            queries, keys, values = gathered.of_batch(batch)
            part, log_total = FLASH(queries, keys, values, attn_mask=batch.bias, scale=scale)
            attended[batch.query_rows] = part.reshape(-1, attended.shape[1])
            if batch.is_padding is not None:
                # The backward pass weighs keys by exp(score - log_total), which is then 0.
                log_total.masked_fill_(batch.is_padding, float("inf"))
            log_totals.append(log_total)
        result = blocks.place_queries(attended, query)
        ctx.save_for_backward(query, key, value, result, *log_totals)
        ctx.blocks, ctx.scale = blocks, scale
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, attended, *log_totals = ctx.saved_tensors
        blocks: BlockBatches = ctx.blocks
        gathered = _Gathered.of(blocks, query, key, value)
        incoming, outgoing = (blocks.gather_queries(each, key.shape[0]) for each in (gradient, attended))
        grad_queries, grad_keys, grad_values = (torch.empty_like(each) for each in gathered)
        for batch, log_total in zip(blocks.batches, log_totals, strict=True):
            queries, keys, values = gathered.of_batch(batch)
            arguments = _BackwardArguments(
                incoming[batch.query_rows].view(queries.shape),
                queries,
                keys,
                values,
                outgoing[batch.query_rows].view(queries.shape),
                log_total,
            )
            is_dense = queries.shape[2] * keys.shape[2] <= DENSE_SCORES
            compute = _dense_gradients if is_dense else _tiled_gradients
            by_query, by_key, by_value = compute(arguments, batch, ctx.scale)
            grad_queries[batch.query_rows] = by_query.reshape(-1, grad_queries.shape[1])
            grad_keys[batch.key_rows] = by_key.reshape(-1, grad_keys.shape[1])
            grad_values[batch.key_rows] = by_value.reshape(-1, grad_values.shape[1])
        return (
            blocks.place_queries(grad_queries, query),
            blocks.add_keys(grad_keys, key),
            blocks.add_keys(grad_values, value),
            None,
            None,
        )


class _Gathered(NamedTuple):
    """Queries, keys and values of all batches."""

    queries: Float[Tensor, "q shared*D"]
    keys: Float[Tensor, "k D"]
    values: Float[Tensor, "k D"]

    @classmethod
    def of(cls, blocks: BlockBatches, query: Tensor, key: Tensor, value: Tensor) -> _Gathered:
        heads = key.shape[0]
        return cls(blocks.gather_queries(query, heads), blocks.gather_keys(key), blocks.gather_keys(value))

    def of_batch(self, batch: BlockBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Those of one batch: [B, Hk, Q*shared, D], and [B, Hk, K, D] twice. A token's queries are neighbours."""
        count, _, _, keys = batch.bias.shape
        size = self.keys.shape[1]
        heads = (batch.key_rows.stop - batch.key_rows.start) // (count * keys)
        return (
            self.queries[batch.query_rows].view(count, heads, -1, size),
            self.keys[batch.key_rows].view(count, heads, keys, size),
            self.values[batch.key_rows].view(count, heads, keys, size),
        )


class _BackwardArguments(NamedTuple):
    """What the gradients of a batch follow from; `shared` queries of a token are neighbours on the axis Q."""

    incoming: Float[Tensor, "B Hk Q D"]
    queries: Float[Tensor, "B Hk Q D"]
    keys: Float[Tensor, "B Hk K D"]
    values: Float[Tensor, "B Hk K D"]
    outgoing: Float[Tensor, "B Hk Q D"]
    log_total: Float[Tensor, "B Hk Q"]
    """The log of the sum of exponentials of each query's scores."""


def _tiled_gradients(arguments: _BackwardArguments, batch: BlockBatch, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor] = FLASH_BACKWARD(*arguments, 0.0, False, attn_mask=batch.bias, scale=scale)
    return gradients


def _dense_gradients(arguments: _BackwardArguments, batch: BlockBatch, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of O = P V with P = exp(scale Q K' + bias - log_total); d is the gradient of the loss (arXiv:2205.14135, B.2).

    dV = P' dO, dS = P (dO V' - rowsum(dO O)), dQ = scale dS K, dK = scale dS' Q. Scores are in float32 or better.
    """
    incoming, queries, keys, values, outgoing, log_total = arguments
    exact = log_total.dtype
    exact_incoming = incoming.to(exact)
    weights = torch.matmul(queries.to(exact, copy=True).mul_(scale), keys.to(exact).transpose(-1, -2))
    weights.add_(batch.bias).sub_(log_total[..., None]).exp_()
    grad_values = weights.to(values.dtype).transpose(-1, -2) @ incoming
    slope = torch.matmul(exact_incoming, values.to(exact).transpose(-1, -2))
    slope.sub_((exact_incoming * outgoing).sum(dim=-1, keepdim=True)).mul_(weights)
    slope = slope.to(keys.dtype)
    return (slope @ keys).mul_(scale), (slope.transpose(-1, -2) @ queries).mul_(scale), grad_values
