"""Products for inference alone: copies of weights in a layout that few rows gain from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from verifine.models.network.compiled.kernels import Kernels, PackedWeight, find_kernels
from verifine.models.network.linear_layers import AdapterMatrices, LinearLayers

_Biases = tuple[Tensor | None, Tensor | None]

PACKING_ROWS = 128
"""oneDNN lays a packed weight out for products of about so many rows."""

# Private, but what torch's own compiler emits for weights that do not change.
_multiply_packed = torch.ops.mkldnn._linear_pointwise


class PackedProjection:
    """A projection for inference alone: a copy of the weight in a layout that few rows gain from.

    Its results are those of `Projection`.
    """

    def __init__(self, layers: Sequence[nn.Module], dtype: torch.dtype) -> None:
        """See `can_pack`."""
        self._layers = LinearLayers(layers)
        self._dtype = dtype
        self._kernels = _multiplying_kernels(self._layers)
        self._weight: _Packed | None = None
        self._bias: Tensor | None = None
        self._matrices: AdapterMatrices | None = None
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


def _multiplying_kernels(layers: LinearLayers) -> Kernels | None:
    """None: oneDNN multiplies."""
    kernels = find_kernels()
    shape = layers.outputs[-1].stop, layers.bases[0].in_features
    return kernels if kernels is not None and kernels.multiplies(*shape) else None


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether oneDNN can lay out weights for bfloat16 products here."""
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )
