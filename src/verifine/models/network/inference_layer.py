"""A decoder layer for inference alone, with its matrix products packed where that is faster.

What it does between the products comes as `Operations`: torch's, or compiled ones. Axes as in `decoder_layer`.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.network.attention import Attention
from verifine.models.network.decoder import Angles, DecoderLayer, Norm
from verifine.models.network.decoder_layer import normalise, turned_heads
from verifine.models.network.elementwise import swiglu
from verifine.models.network.packed_projection import PackedProjection
from verifine.models.network.projection import Projection


class Operations(Protocol):
    """What lies between the products. They may write into what they are given, but for the norms' gains."""

    def add_and_normalise(
        self, hidden: Float[Tensor, "T H"], added: Float[Tensor, "T H"] | None, norm: Norm, dtype: torch.dtype
    ) -> Float[Tensor, "T H"]:
        """Adds to `hidden` in place; returns it normalised, in `dtype`."""
        ...

    def turn(
        self, projected: Float[Tensor, "T O"], layer: DecoderLayer, angles: Angles
    ) -> tuple[Float[Tensor, "Hq T D"], Float[Tensor, "Hk T D"], Float[Tensor, "Hk T D"]]:
        """Queries, keys and values as attention reads them, of what the products gave."""
        ...

    def swiglu(self, gate_up: Float[Tensor, "T 2*I"]) -> Float[Tensor, "T I"]: ...


class TorchOperations:
    """On any device, in any type."""

    def add_and_normalise(
        self, hidden: Float[Tensor, "T H"], added: Float[Tensor, "T H"] | None, norm: Norm, dtype: torch.dtype
    ) -> Float[Tensor, "T H"]:
        if added is not None:
            hidden += added
        return normalise(hidden, norm, dtype)

    def turn(
        self, projected: Float[Tensor, "T O"], layer: DecoderLayer, angles: Angles
    ) -> tuple[Float[Tensor, "Hq T D"], Float[Tensor, "Hk T D"], Float[Tensor, "Hk T D"]]:
        return turned_heads(projected, layer, angles)

    def swiglu(self, gate_up: Float[Tensor, "T 2*I"]) -> Float[Tensor, "T I"]:
        return swiglu(gate_up)


class InferenceLayer:
    """One layer. Packed products are copies of the weights; others multiply by the layers' own."""

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype, operations: Operations, *, packs: bool) -> None:
        """`packs`: see `can_pack`."""
        self._layer = layer
        self._dtype = dtype
        self._operations = operations
        kind = PackedProjection if packs else Projection
        self._attention_inputs = kind((layer.queries, layer.keys, layer.values), dtype)
        self._output = kind((layer.output,), dtype)
        self._gated = _PackedGate(layer, dtype) if packs else _Gate(layer, dtype, operations)
        self._down = kind((layer.down,), dtype)

    @property
    def projections(self) -> tuple[Projection | PackedProjection, ...]:
        return self._attention_inputs, self._output, *self._gated.projections, self._down

    @property
    def parameters(self) -> list[Tensor]:
        """What copies are made of."""
        return [parameter for projection in self.projections for parameter in projection.parameters]

    def refresh(self) -> None:
        """Makes the copies of weights that have changed again."""
        for projection in self.projections:
            projection.refresh()

    def run(
        self, hidden: Float[Tensor, "T H"], added: Float[Tensor, "T H"] | None, angles: Angles, attention: Attention
    ) -> Float[Tensor, "T H"]:
        """Reads `hidden` plus `added`, and leaves what it adds to them itself for the next: hidden is written to."""
        layer, operations = self._layer, self._operations
        normalised = operations.add_and_normalise(hidden, added, layer.input_norm, self._dtype)
        query, key, value = operations.turn(self._attention_inputs(normalised), layer, angles)
        attended = attention.attend(layer.heads(query, key, value))
        added = self._output(attended.transpose(0, 1).flatten(1))
        normalised = operations.add_and_normalise(hidden, added, layer.middle_norm, self._dtype)
        return self._down(self._gated(normalised))


class _Gate:
    """silu(gate(rows)) * up(rows)."""

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype, operations: Operations) -> None:
        self._gate_up = Projection((layer.gate, layer.up), dtype)
        self._operations = operations
        self.projections = (self._gate_up,)

    def __call__(self, rows: Float[Tensor, "T H"]) -> Float[Tensor, "T I"]:
        return self._operations.swiglu(self._gate_up(rows))


class _PackedGate:
    """The same; without adapters the products do the rest as well."""

    def __init__(self, layer: DecoderLayer, dtype: torch.dtype) -> None:
        self.projections = PackedProjection((layer.gate,), dtype), PackedProjection((layer.up,), dtype)

    def __call__(self, rows: Float[Tensor, "T H"]) -> Float[Tensor, "T I"]:
        return PackedProjection.swiglu(*self.projections, rows)
