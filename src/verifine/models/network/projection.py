"""The linear layers of a decoder as they are multiplied: layers that read the same input are one product.

The weights stay transformers' own parameters, and gradients are added to them. A projection multiplies by a copy in the
type of the products, which is made again whenever the parameters have changed; where the types agree there is no copy.
Weights in 8 or 4 bits are turned into that type for each product, and forgotten after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, Protocol

import torch
from jaxtyping import Float
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import Parameter
from torch.nn.functional import linear

from verifine.models.network.adapter_layers import base_layer, lora_matrices
from verifine.models.network.compiled.kernels import Kernels, PackedWeight, find_kernels
from verifine.models.network.quantized_linear import QuantizedLinear

_Biases = tuple[Tensor | None, Tensor | None]

PACKING_ROWS = 128
"""oneDNN lays a packed weight out for products of about so many rows."""

# Private, but what torch's own compiler emits for weights that do not change.
_multiply_packed = torch.ops.mkldnn._linear_pointwise


@dataclass(frozen=True, slots=True, kw_only=True)
class _Adapter:
    """The LoRA matrices of one layer, which adds `scale * up @ down` to its weight."""

    down: Parameter
    up: Parameter
    scale: float
    outputs: slice
    """The layer's outputs among those of the projection."""
    ranks: slice
    """Its rows of A among those of the projection."""


class _Layers:
    """Linear layers that read the same input. I inputs, O outputs of all layers together, r ranks of all adapters."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        self.bases = [base_layer(layer) for layer in layers]
        self.outputs = _consecutive([base.out_features for base in self.bases])
        self.adapters = _adapters(layers, self.outputs)
        self._adapted = [layer for layer in layers if isinstance(layer, LoraLayer)]

    @property
    def are_quantized(self) -> bool:
        return any(isinstance(base, QuantizedLinear) for base in self.bases)

    @property
    def uses_adapters(self) -> bool:
        return bool(self._adapted) and not self._adapted[0].disable_adapters

    @property
    def parameters(self) -> list[Tensor]:
        """Everything that the result depends on."""
        own = [each for base in self.bases for each in (base.weight, base.bias) if each is not None]
        return [*own, *(each for adapter in self.adapters for each in (adapter.down, adapter.up))]

    def versions(self) -> list[tuple[int, int]]:
        return versions_of(self.parameters)

    def copy_weight(self, target: Float[Tensor, "O I"]) -> None:
        for base, outputs in zip(self.bases, self.outputs, strict=True):
            target[outputs].copy_(base.weight)

    def dequantized_weight(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        weights = [base.dequantized(dtype) for base in self.bases if isinstance(base, QuantizedLinear)]
        assert len(weights) == len(self.bases)
        return weights[0] if len(weights) == 1 else torch.cat(weights)

    def empty_weight(self, dtype: torch.dtype) -> Float[Tensor, "O I"]:
        first = self.bases[0].weight
        return first.new_empty(self.outputs[-1].stop, first.shape[1], dtype=dtype)

    def bias(self, dtype: torch.dtype) -> Float[Tensor, " O"] | None:
        biases: list[Tensor] = [base.bias for base in self.bases if base.bias is not None]
        return torch.cat(biases).to(dtype) if biases else None

    def matrices(self, dtype: torch.dtype) -> _Matrices | None:
        """The adapters' matrices, those of all layers together."""
        if not self.adapters:
            return None
        down = torch.cat([adapter.down for adapter in self.adapters]).to(dtype)
        up = down.new_zeros(self.outputs[-1].stop, len(down))
        for adapter in self.adapters:
            up[adapter.outputs, adapter.ranks] = (adapter.up * adapter.scale).to(dtype)
        return _Matrices(down=down, up=up)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matrices:
    """A of all adapters, and their B with the scales, on the diagonal."""

    down: Float[Tensor, "r I"]
    up: Float[Tensor, "O r"]

    def add_to(self, result: Float[Tensor, "T O"], rows: Float[Tensor, "T I"]) -> None:
        """Adds what the adapters make of `rows`."""
        result.addmm_(rows @ self.down.T, self.up.T)


class Projection:
    """One or more linear layers that read the same input. T tokens, I inputs, O outputs of all layers together."""

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype) -> None:
        self._layers = _Layers(layers)
        self._dtype = dtype
        self.is_quantized = self._layers.are_quantized
        """Whether the weights are held in 8 or 4 bits."""
        self._copies_weight = not self.is_quantized and any(base.weight.dtype != dtype for base in self._layers.bases)
        self._weight: Tensor | None = None
        """[O, I]. None: the layers' own weights are multiplied by."""
        self._bias: Tensor | None = None
        self._matrices: _Matrices | None = None
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
    def _adapters(self) -> _Matrices | None:
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


class PackedProjection:
    """A projection for inference alone: a copy of the weight in a layout that few rows gain from.

    Its results are those of `Projection`.
    """

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype) -> None:
        """See `can_pack`."""
        self._layers = _Layers(layers)
        self._dtype = dtype
        self._kernels = _multiplying_kernels(self._layers)
        self._weight: _Packed | None = None
        self._bias: Tensor | None = None
        self._matrices: _Matrices | None = None
        self._versions: list[tuple[int, int]] = []

    @property
    def parameters(self) -> list[Tensor]:
        """What the result depends on."""
        return self._layers.parameters

    @property
    def resident_bytes(self) -> int:
        """What the copy takes."""
        return sum(base.weight.numel() for base in self._layers.bases) * self._dtype.itemsize

    @torch.no_grad()
    def refresh(self) -> None:
        """Packs the weights again if they have changed."""
        versions = self._layers.versions()
        if versions == self._versions:
            return
        self._versions = versions
        weight = self._layers.empty_weight(self._dtype)
        self._layers.copy_weight(weight)
        self._weight = _OneDnnWeight.of(weight) if self._kernels is None else _OwnWeight.of(self._kernels, weight)
        self._bias = self._layers.bias(self._dtype)
        self._matrices = self._layers.matrices(self._dtype)

    def __call__(self, rows: Float[Tensor, "T I"]) -> Float[Tensor, "T O"]:
        assert self._weight is not None, "not refreshed"
        result = self._weight.multiply(rows, self._bias)
        if self._layers.uses_adapters and self._matrices is not None:
            self._matrices.add_to(result, rows)
        return result

    @staticmethod
    def swiglu(gate: PackedProjection, up: PackedProjection, rows: Float[Tensor, "T I"]) -> Float[Tensor, "T O"]:
        """silu(gate(rows)) * up(rows); without adapters the products do the rest as well, before they round."""
        if gate._layers.uses_adapters or up._layers.uses_adapters:
            return torch.nn.functional.silu(gate(rows)).mul_(up(rows))
        assert gate._weight is not None, "not refreshed"
        return gate._weight.multiply_gated(rows, up._weight, (gate._bias, up._bias))


class _Packed(Protocol):
    """A packed weight. The pair of biases is the gate's and up's."""

    def multiply(self, rows: Float[Tensor, "T I"], bias: Float[Tensor, " O"] | None) -> Float[Tensor, "T O"]: ...

    def multiply_gated(self, rows: Float[Tensor, "T I"], up: Any, biases: _Biases) -> Float[Tensor, "T O"]: ...


@dataclass(frozen=True, slots=True)
class _OneDnnWeight:
    numbers: Tensor

    @classmethod
    def of(cls, weight: Float[Tensor, "O I"]) -> _OneDnnWeight:
        return cls(torch.ops.mkldnn._reorder_linear_weight(weight, PACKING_ROWS))

    def multiply(self, rows: Float[Tensor, "T I"], bias: Float[Tensor, " O"] | None) -> Float[Tensor, "T O"]:
        result: Tensor = _multiply_packed(rows, self.numbers, bias, "none", [], "")
        return result

    def multiply_gated(self, rows: Float[Tensor, "T I"], up: _OneDnnWeight, biases: _Biases) -> Float[Tensor, "T O"]:
        activated = _multiply_packed(rows, self.numbers, biases[0], "swish", [], "")
        result: Tensor = _multiply_packed.binary(rows, activated, up.numbers, biases[1], "mul")
        return result


@dataclass(frozen=True, slots=True)
class _OwnWeight:
    kernels: Kernels
    numbers: PackedWeight

    @classmethod
    def of(cls, kernels: Kernels, weight: Float[Tensor, "O I"]) -> _OwnWeight:
        return cls(kernels, kernels.pack(weight))

    def multiply(self, rows: Float[Tensor, "T I"], bias: Float[Tensor, " O"] | None) -> Float[Tensor, "T O"]:
        return self.kernels.multiply(rows, self.numbers, bias)

    def multiply_gated(self, rows: Float[Tensor, "T I"], up: _OwnWeight, biases: _Biases) -> Float[Tensor, "T O"]:
        return self.kernels.multiply_gated(rows, self.numbers, up.numbers, biases)


def _multiplying_kernels(layers: _Layers) -> Kernels | None:
    """None: oneDNN multiplies."""
    kernels = find_kernels()
    shape = layers.outputs[-1].stop, layers.bases[0].in_features
    return kernels if kernels is not None and kernels.multiplies(*shape) else None


def versions_of(parameters: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Differs from what it was if a parameter has changed since."""
    return [(each.data_ptr(), each._version) for each in parameters]


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN can lay out weights for bfloat16 products here."""
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


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


def _consecutive(sizes: Sequence[int]) -> list[slice]:
    return [slice(start, stop) for start, stop in pairwise([0, *accumulate(sizes)])]


def _adapters(layers: Sequence[nn.Module], outputs: Sequence[slice]) -> list[_Adapter]:
    adapted = [(layer, span) for layer, span in zip(layers, outputs, strict=True) if isinstance(layer, LoraLayer)]
    matrices = [lora_matrices(layer) for layer, _ in adapted]
    ranks = _consecutive([len(down) for down, _, _ in matrices])
    return [
        _Adapter(down=down, up=up, scale=scale, outputs=span, ranks=rows)
        for (down, up, scale), (_, span), rows in zip(matrices, adapted, ranks, strict=True)
    ]
