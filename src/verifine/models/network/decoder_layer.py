"""One decoder layer in two halves, with attention between them: what comes before it, and what comes after.

Each half is a function of autograd whose backward pass is written out: it keeps few activations, in the type of the
products, and adds the gradients of weights to the parameters' own. Without gradients the same functions run bare.
Axes: T tokens, H hidden size, Hq query heads, Hk key-value heads, D head size, I intermediate size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.network.attention import Attention
from verifine.models.network.decoder import Angles, DecoderLayer, Norm
from verifine.models.network.elementwise import (
    reciprocal_rms,
    rms_norm,
    rms_norm_gradients,
    rotate,
    swiglu,
    swiglu_gradient,
)
from verifine.models.network.projection import Projection, add_gradient


class LayerProducts:
    """A decoder layer with its matrix products in one type."""

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        self.layer = layer
        self.dtype = dtype
        self.attention_inputs = Projection((layer.queries, layer.keys, layer.values), dtype)
        self.output = Projection((layer.output,), dtype)
        self.gate_up = Projection((layer.gate, layer.up), dtype)
        self.down = Projection((layer.down,), dtype)

    @property
    def projections(self) -> tuple[Projection, ...]:
        return self.attention_inputs, self.output, self.gate_up, self.down

    def refresh(self) -> None:
        """Makes the copies of weights that have changed again."""
        for projection in self.projections:
            projection.refresh()

    @property
    def parameters_before(self) -> list[Tensor]:
        """What the half before attention reads, in the order of its gradients."""
        norms = (self.layer.query_norm, self.layer.key_norm, self.layer.input_norm)
        return [*(norm.gain for norm in norms if norm is not None), *self.attention_inputs.parameters]

    @property
    def parameters_after(self) -> list[Tensor]:
        """What the half after attention reads, in the order of its gradients."""
        return [
            *self.down.parameters, *self.gate_up.parameters, self.layer.middle_norm.gain, *self.output.parameters
        ]  # fmt: skip


def run_layer(
    products: LayerProducts, hidden: Float[Tensor, "T H"], angles: Angles, attention: Attention
) -> Float[Tensor, "T H"]:
    """The hidden states behind a layer."""
    if not torch.is_grad_enabled():
        attended = attention.attend(products.layer.heads(*_before(products, hidden, angles).heads))
        return _after(products, hidden, attended).hidden
    heads = _Before.apply(hidden, products, angles, *products.parameters_before)  # type: ignore[no-untyped-call]
    attended = attention.attend(products.layer.heads(*heads))
    behind: Tensor = _After.apply(  # type: ignore[no-untyped-call]
        hidden, attended, products, *products.parameters_after
    )
    return behind


class _BeforeResult(NamedTuple):
    heads: tuple[Tensor, Tensor, Tensor]
    """Queries, keys and values."""
    reciprocal: Float[Tensor, "T 1"]
    projected: Float[Tensor, "T O"]


def _before(products: LayerProducts, hidden: Float[Tensor, "T H"], angles: Angles) -> _BeforeResult:
    layer = products.layer
    reciprocal = reciprocal_rms(hidden, layer.input_norm.epsilon)
    projected = products.attention_inputs(rms_norm(hidden, reciprocal, layer.input_norm.gain, products.dtype))
    return _BeforeResult(turned_heads(projected, layer, angles), reciprocal, projected)


def turned_heads(
    projected: Float[Tensor, "T O"], layer: DecoderLayer, angles: Angles
) -> tuple[Float[Tensor, "Hq T D"], Float[Tensor, "Hk T D"], Float[Tensor, "Hk T D"]]:
    """Queries, keys and values as attention reads them."""
    both = layer.query_heads + layer.key_heads
    heads = projected.view(len(projected), both + layer.key_heads, -1)
    query_key, value = heads[:, :both], heads[:, both:]
    if layer.query_norm is not None and layer.key_norm is not None:
        query, key = query_key.split((layer.query_heads, layer.key_heads), dim=1)
        normalised = _normalise_heads(query, layer.query_norm), _normalise_heads(key, layer.key_norm)
        query_key = torch.cat(normalised, dim=1)
    turned = rotate(query_key, angles.cos, angles.sin).to(value.dtype)
    query, key = turned[:, : layer.query_heads], turned[:, layer.query_heads :]
    return query.transpose(0, 1), key.transpose(0, 1), value.transpose(0, 1)


class _Before(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, products: LayerProducts, angles: Angles, *_: Tensor) -> tuple[Tensor, ...]:
        result = _before(products, hidden, angles)
        ctx.products, ctx.angles = products, angles
        if products.layer.has_head_norms:
            ctx.save_for_backward(hidden, result.reciprocal, result.projected)
            return result.heads
        ctx.save_for_backward(hidden, result.reciprocal, None)
        query, key, value = result.heads
        # The values are a view, which would keep the projected queries and keys as well.
        return query, key, value.transpose(0, 1).contiguous().transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *grad_heads: Tensor) -> tuple[Tensor | None, ...]:
        hidden, reciprocal, projected = ctx.saved_tensors
        products: LayerProducts = ctx.products
        norm = products.layer.input_norm
        returned: list[Tensor | None] = []
        incoming = _projected_gradient(products, projected, grad_heads, ctx.angles, returned)
        grad_normalised = products.attention_inputs.input_gradient(incoming)
        grad_hidden = _norm_gradient(grad_normalised, hidden, reciprocal, norm, returned)
        normalised = rms_norm(hidden, reciprocal, norm.gain, products.dtype)
        returned += products.attention_inputs.add_gradients(incoming, normalised)
        return grad_hidden, None, None, *returned


def _projected_gradient(
    products: LayerProducts,
    projected: Float[Tensor, "T O"] | None,
    grad_heads: Sequence[Tensor],
    angles: Angles,
    returned: list[Tensor | None],
) -> Float[Tensor, "T O"]:
    """The gradient of what the projection gave, from those of queries, keys and values; see `_norm_gradient`.

    `projected` is read by the norms of heads alone.
    """
    layer = products.layer
    grad_query, grad_key, grad_value = (each.transpose(0, 1) for each in grad_heads)
    outputs = sum(each.shape[1] * each.shape[2] for each in (grad_query, grad_key, grad_value))
    gradient = torch.empty(len(grad_query), outputs, dtype=products.dtype, device=grad_query.device)
    to_query, to_key, to_value = _split_heads(gradient, layer)
    query, key = (None, None) if projected is None else _split_heads(projected, layer)[:2]
    for incoming, target, heads, norm in (
        (grad_query, to_query, query, layer.query_norm),
        (grad_key, to_key, key, layer.key_norm),
    ):
        turned = rotate(incoming, angles.cos, -angles.sin)
        if norm is not None and heads is not None:
            exact = heads.to(turned.dtype)
            turned = _norm_gradient(turned, exact, reciprocal_rms(exact, norm.epsilon), norm, returned)
        target.copy_(turned)
    to_value.copy_(grad_value)
    return gradient


class _AfterResult(NamedTuple):
    hidden: Float[Tensor, "T H"]
    attended: Float[Tensor, "T Hq*D"]
    middle: Float[Tensor, "T H"]
    """The hidden states between attention and the feed-forward network."""
    reciprocal: Float[Tensor, "T 1"]
    gate_up: Float[Tensor, "T 2*I"]


def _after(products: LayerProducts, hidden: Float[Tensor, "T H"], heads: Float[Tensor, "Hq T D"]) -> _AfterResult:
    norm = products.layer.middle_norm
    attended = heads.transpose(0, 1).flatten(1)
    middle = hidden + products.output(attended)
    reciprocal = reciprocal_rms(middle, norm.epsilon)
    gate_up = products.gate_up(rms_norm(middle, reciprocal, norm.gain, products.dtype))
    behind = middle + products.down(swiglu(gate_up))
    return _AfterResult(behind, attended, middle, reciprocal, gate_up)


class _After(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, heads: Tensor, products: LayerProducts, *_: Tensor) -> Tensor:
        behind, *kept = _after(products, hidden, heads)
        ctx.save_for_backward(*kept)
        ctx.products = products
        return behind

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        attended, middle, reciprocal, gate_up = ctx.saved_tensors
        products: LayerProducts = ctx.products
        norm = products.layer.middle_norm
        rounded = incoming.to(products.dtype)
        activated, grad_gate_up = swiglu_gradient(products.down.input_gradient(rounded), gate_up)
        returned = products.down.add_gradients(rounded, activated)
        normalised = rms_norm(middle, reciprocal, norm.gain, products.dtype)
        returned += products.gate_up.add_gradients(grad_gate_up, normalised)
        grad_normalised = products.gate_up.input_gradient(grad_gate_up)
        grad_hidden = _norm_gradient(grad_normalised, middle, reciprocal, norm, returned).add_(incoming)
        rounded = grad_hidden.to(products.dtype)
        returned += products.output.add_gradients(rounded, attended)
        grad_heads = products.output.input_gradient(rounded)
        grad_heads = grad_heads.view(len(grad_heads), products.layer.query_heads, -1).transpose(0, 1)
        return grad_hidden, grad_heads, None, *returned


def _split_heads(
    projected: Float[Tensor, "T O"], layer: DecoderLayer
) -> tuple[Float[Tensor, "T Hq D"], Float[Tensor, "T Hk D"], Float[Tensor, "T Hk D"]]:
    """Views of queries, keys and values."""
    counts = (layer.query_heads, layer.key_heads, layer.key_heads)
    query, key, value = projected.view(len(projected), sum(counts), -1).split(counts, dim=1)
    return query, key, value


def normalise(hidden: Float[Tensor, "T H"], norm: Norm, dtype: torch.dtype) -> Float[Tensor, "T H"]:
    return rms_norm(hidden, reciprocal_rms(hidden, norm.epsilon), norm.gain, dtype)


def _normalise_heads(heads: Float[Tensor, "T heads D"], norm: Norm) -> Float[Tensor, "T heads D"]:
    exact = heads.to(norm.gain.dtype)
    return normalise(exact, norm, exact.dtype)


def _norm_gradient(
    incoming: Float[Tensor, "*T H"],
    rows: Float[Tensor, "*T H"],
    reciprocal: Float[Tensor, "*T 1"],
    norm: Norm,
    returned: list[Tensor | None],
) -> Float[Tensor, "*T H"]:
    """The gradient of a norm's input. What `add_gradient` says of its gain is appended to `returned`."""
    grad_rows, grad_gain = rms_norm_gradients(incoming, rows, reciprocal, norm.gain.detach())
    returned.append(add_gradient(norm.gain, grad_gain) if norm.gain.requires_grad else None)
    return grad_rows
