"""The linear layers of a decoder as they are multiplied: layers that read the same input are one product.

The weights stay transformers' own parameters, and gradients are added to them. A projection multiplies by a copy in the
type of the products, which is made again whenever the parameters have changed; where the types agree there is no copy.
Weights in 8 or 4 bits are turned into that type for each product, and forgotten after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.functional import linear

from verifine.models.network.linear_layers import AdapterMatrices, LinearLayers


class Projection:
    """One or more linear layers that read the same input. T tokens, I inputs, O outputs of all layers together."""

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self._layers = LinearLayers(layers)
        self._dtype = dtype
        self.is_quantized = self._layers.are_quantized
        """Whether the weights are held in 8 or 4 bits."""
        self._copies_weight = not self.is_quantized and any(base.weight.dtype != dtype for base in self._layers.bases)
        self._weight: Tensor | None = None
        """[O, I]. None: the layers' own weights are multiplied by."""
        self._bias: Tensor | None = None
        self._matrices: AdapterMatrices | None = None
        self._versions: list[tuple[int, int]] = []

    @property
    def parameters(self) -> list[Tensor]:
        """What the result depends on, in the order of `add_gradients`."""
        return self._layers.parameters

    @property
    def resident_bytes(self) -> int:
        """What the copy of the weights takes."""
        return self._weight.nbytes if self._copies_weight and self._weight is not None else 0

    @torch.no_grad()
    def refresh(self) -> None:
        """Copies the parameters again if they have changed."""
        versions = self._layers.versions()
        if versions == self._versions:
            return
        self._versions = versions
        self._matrices = self._layers.matrices(self._dtype)
        if self._copies_weight:
            self._weight = self._layers.empty_weight(self._dtype) if self._weight is None else self._weight
            self._layers.copy_weight(self._weight)
        if self._copies_weight or self.is_quantized:
            self._bias = self._layers.bias(self._dtype)

    @torch.no_grad()
    def hold_frozen(self) -> None:
        """Keeps frozen weights in the type of the products only, if that has each of their numbers exactly.

        They are then parts of one matrix, and transformers cannot run the layers any more.
        """
        frozen = [each for base in self._layers.bases for each in (base.weight, base.bias) if each is not None]
        if not self._copies_weight or not all(_is_frozen_in(self._dtype, each) for each in frozen):
            return
        self._weight = self._layers.empty_weight(self._dtype)
        self._layers.copy_weight(self._weight)
        self._bias = self._layers.bias(self._dtype)
        self._copies_weight = False
        for base, outputs in zip(self._layers.bases, self._layers.outputs, strict=True):
            base.weight = Parameter(self._weight[outputs], requires_grad=False)
            if base.bias is not None:
                base.bias = Parameter(base.bias.to(self._dtype), requires_grad=False)

    def __call__(self, rows: Float[Tensor, "T I"]) -> Float[Tensor, "T O"]:
        result = self._multiply(rows)
        if (matrices := self._adapters) is not None:
            matrices.add_to(result, rows)
        return result

    def input_gradient(self, incoming: Float[Tensor, "T O"]) -> Float[Tensor, "T I"]:
        bases, outputs = self._layers.bases, self._layers.outputs
        if (weight := self._whole_weight()) is not None:
            gradient = incoming @ weight
        else:
            gradient = incoming[:, outputs[0]] @ bases[0].weight
            for base, span in zip(bases[1:], outputs[1:], strict=True):
                gradient.addmm_(incoming[:, span], base.weight)
        if (matrices := self._adapters) is not None:
            gradient.addmm_(incoming @ matrices.up, matrices.down)
        return gradient

    def add_gradients(self, incoming: Float[Tensor, "T O"], rows: Float[Tensor, "T I"]) -> list[Tensor | None]:
        """Adds the parameters' gradients to their own, and returns those that could not be; see `add_gradient`."""
        return [*self._add_weight_gradients(incoming, rows), *self._add_adapter_gradients(incoming, rows)]

    @property
    def _adapters(self) -> AdapterMatrices | None:
        return self._matrices if self._layers.uses_adapters else None

    def _whole_weight(self) -> Float[Tensor, "O I"] | None:
        """The weights of all layers in one. None: each layer's own is multiplied by."""
        return self._layers.dequantized_weight(self._dtype) if self.is_quantized else self._weight

    def _multiply(self, rows: Float[Tensor, "T I"]) -> Float[Tensor, "T O"]:
        bases, outputs = self._layers.bases, self._layers.outputs
        if (weight := self._whole_weight()) is not None:
            return linear(rows, weight, self._bias)
        if len(bases) == 1:
            return linear(rows, bases[0].weight, bases[0].bias)
        result = rows.new_empty(len(rows), outputs[-1].stop)
        for base, span in zip(bases, outputs, strict=True):
            torch.mm(rows, base.weight.T, out=result[:, span])
            if base.bias is not None:
                result[:, span] += base.bias
        return result

    def _add_weight_gradients(self, incoming: Float[Tensor, "T O"], rows: Float[Tensor, "T I"]) -> list[Tensor | None]:
        bases = self._layers.bases
        returned: list[Tensor | None] = []
        # One product for all layers, in the type of its factors; it is added in the parameters' own.
        is_joint = self._weight is not None and all(base.weight.requires_grad for base in bases)
        joint = incoming.T @ rows if is_joint else None
        for base, span in zip(bases, self._layers.outputs, strict=True):
            if joint is not None:
                returned.append(add_gradient(base.weight, joint[span]))
            elif base.weight.requires_grad:
                returned.append(add_product(base.weight, incoming[:, span].T, rows))
            else:
                returned.append(None)
            if base.bias is not None:
                learns = base.bias.requires_grad
                returned.append(add_gradient(base.bias, incoming[:, span].sum(dim=0)) if learns else None)
        return returned

    def _add_adapter_gradients(self, incoming: Float[Tensor, "T O"], rows: Float[Tensor, "T I"]) -> list[Tensor | None]:
        adapters, matrices = self._layers.adapters, self._adapters
        if matrices is None:
            return [None] * (2 * len(adapters))
        grad_down = (incoming @ matrices.up).T @ rows
        grad_up = incoming.T @ (rows @ matrices.down.T)
        returned: list[Tensor | None] = []
        for adapter in adapters:
            returned.append(add_gradient(adapter.down, grad_down[adapter.ranks]))
            returned.append(add_gradient(adapter.up, grad_up[adapter.outputs, adapter.ranks].mul_(adapter.scale)))
        return returned


def add_gradient(parameter: Tensor, gradient: Tensor) -> Tensor | None:
    """Adds to the parameter's gradient in place; returns `gradient` for autograd where the parameter has none yet."""
    if parameter.grad is None:
        return gradient.to(parameter.dtype)
    parameter.grad.add_(gradient)
    return None


def add_product(parameter: Tensor, left: Tensor, right: Tensor) -> Tensor | None:
    """As `add_gradient`, of a product in the type of its factors."""
    if parameter.grad is None:
        return (left @ right).to(parameter.dtype)
    add_product_to(parameter.grad, left, right)
    return None


def add_product_to(total: Tensor, left: Tensor, right: Tensor) -> None:
    """`total += left @ right`, with the product in the type of its factors, as in any layer."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total.add_(left @ right)


def _is_frozen_in(dtype: torch.dtype, parameter: Tensor) -> bool:
    """Whether a parameter does not learn, and `dtype` has each of its numbers."""
    return not parameter.requires_grad and torch.equal(parameter.to(dtype).to(parameter.dtype), parameter)
