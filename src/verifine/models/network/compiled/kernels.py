"""The compiled kernels as functions of tensors. What they compute, in torch: `elementwise` and the decode step.

Axes: T tokens, H hidden size, Hq query heads, Hk key-value heads, D head size, I intermediate size, R rows.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import BFloat16, Float, Float64, Int64
from torch import Tensor
from transformers import PreTrainedModel

from verifine.models.network.attention import Heads
from verifine.models.network.compiled.build import load_library
from verifine.models.network.decoder import Angles, DecoderLayer, Norm
from verifine.models.provision.cache import user_cache

TYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
"""Of what products read and write; everything between them is float32."""

_POINTER, _LONG, _FLOAT, _INT = ctypes.c_void_p, ctypes.c_long, ctypes.c_float, ctypes.c_int
_NORMALISE = [_POINTER, _POINTER, _POINTER, _FLOAT, _POINTER, _LONG, _LONG, _INT]
_ARGUMENTS = {
    "add_and_normalise": _NORMALISE,
    "add_and_finish": _NORMALISE,
    "draw": [_POINTER, _LONG, _LONG, _FLOAT, _POINTER, _POINTER, _LONG, _POINTER, _POINTER, _INT],
    "swiglu": [_POINTER, _POINTER, _LONG, _LONG, _INT],
    "turn": [_POINTER, *[_LONG] * 5, *[_POINTER, _LONG] * 2, _POINTER, _POINTER, _FLOAT, _FLOAT, _INT],
    "attend": [*[_POINTER, _LONG] * 3, *[_POINTER] * 3, *[_LONG] * 4, _FLOAT, _LONG, _INT],
}  # fmt: skip


def can_compile(network: PreTrainedModel, dtype: torch.dtype) -> bool:
    """Whether there are kernels for a network whose products are in `dtype`."""
    return network.device.type == "cpu" and network.dtype == torch.float32 and dtype in TYPES


@cache
def find_kernels() -> Kernels | None:
    """Those of this machine; None: there is no compiler."""
    library = load_library(user_cache() / "kernels")
    return None if library is None else Kernels(library)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the keys and values of a prompt, or a row's own, lie."""

    band: int
    """Of the bands that are given with it."""
    index: int
    tokens: int
    """How many there are."""


def row_table(rows: Sequence[tuple[Stored, Stored | None]]) -> Int64[Tensor, "R 6"]:
    """The own place of each row, without its new token, and that of its prompt."""
    return torch.tensor([[*_numbers(own), *_numbers(prompt)] for own, prompt in rows])


def _numbers(place: Stored | None) -> tuple[int, int, int]:
    return (0, 0, 0) if place is None else (place.band, place.index, place.tokens)


@dataclass(frozen=True, slots=True)
class PackedWeight:
    """A weight in the layout of `multiply`. O outputs, I inputs."""

    numbers: Tensor
    outputs: int


class Kernels:
    """Runs in place where it can. Tensors are on the processor, and without gradients."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._functions = {name: _by_type(library, name, arguments) for name, arguments in _ARGUMENTS.items()}
        self._packed_size = _declared(library["packed_size"], [_LONG, _LONG], _LONG)
        self._pack = _declared(library["pack_bfloat16"], [_POINTER, _POINTER, _LONG, _LONG, _INT])
        self._multiply = self._multiply_gated = None
        if self.multiplies(1, 2):
            shape = [_LONG, _LONG, _LONG, _INT]
            self._multiply = _declared(library["multiply_bfloat16"], [*[_POINTER] * 4, *shape])
            self._multiply_gated = _declared(library["multiply_gated_bfloat16"], [*[_POINTER] * 6, *shape])

    def multiplies(self, outputs: int, inputs: int) -> bool:
        """Whether this processor has instructions for products in bfloat16 that are faster here than oneDNN's.

        Those of AMX are faster still, and oneDNN has them.
        """
        return self._packed_size(outputs, inputs) > 0 and not torch.cpu.get_capabilities().get("amx_bf16")

    def pack(self, weight: BFloat16[Tensor, "O I"]) -> PackedWeight:
        """Lays a weight out for `multiply`; see `multiplies`."""
        weight = weight.contiguous()
        packed = weight.new_empty(self._packed_size(*weight.shape))
        self._pack(weight.data_ptr(), packed.data_ptr(), *weight.shape, torch.get_num_threads())
        return PackedWeight(packed, len(weight))

    def multiply(
        self, rows: BFloat16[Tensor, "T I"], weight: PackedWeight, bias: BFloat16[Tensor, " O"] | None
    ) -> BFloat16[Tensor, "T O"]:
        """A row's result does not depend on what is computed with it, nor on the number of threads."""
        assert self._multiply is not None, "see `multiplies`"
        rows = rows.contiguous()
        result = rows.new_empty(len(rows), weight.outputs)
        self._multiply(
            rows.data_ptr(),
            weight.numbers.data_ptr(),
            None if bias is None else bias.data_ptr(),
            result.data_ptr(),
            *result.shape,
            rows.shape[1],
            torch.get_num_threads(),
        )
        return result

    def multiply_gated(
        self,
        rows: BFloat16[Tensor, "T H"],
        gate: PackedWeight,
        up: PackedWeight,
        biases: tuple[BFloat16[Tensor, " I"] | None, BFloat16[Tensor, " I"] | None],
    ) -> BFloat16[Tensor, "T I"]:
        """silu(gate(rows)) * up(rows)."""
        assert self._multiply_gated is not None, "see `multiplies`"
        rows = rows.contiguous()
        result = rows.new_empty(len(rows), gate.outputs)
        self._multiply_gated(
            rows.data_ptr(),
            gate.numbers.data_ptr(),
            up.numbers.data_ptr(),
            *(None if bias is None else bias.data_ptr() for bias in biases),
            result.data_ptr(),
            *result.shape,
            rows.shape[1],
            torch.get_num_threads(),
        )
        return result

    def add_and_normalise(
        self, hidden: Float[Tensor, "T H"], added: Float[Tensor, "T H"] | None, norm: Norm, dtype: torch.dtype
    ) -> Float[Tensor, "T H"]:
        result = torch.empty(hidden.shape, dtype=dtype)
        added_dtype = dtype if added is None else added.dtype
        name = "add_and_normalise" if added_dtype == dtype else "add_and_finish"
        self._functions[name][added_dtype](
            hidden.data_ptr(),
            None if added is None else added.data_ptr(),
            norm.gain.data_ptr(),
            norm.epsilon,
            result.data_ptr(),
            *hidden.shape,
            torch.get_num_threads(),
        )
        return result

    def swiglu(self, gate_up: Float[Tensor, "T 2*I"]) -> Float[Tensor, "T I"]:
        result = gate_up.new_empty(len(gate_up), gate_up.shape[1] // 2)
        self._functions["swiglu"][gate_up.dtype](
            gate_up.data_ptr(), result.data_ptr(), *result.shape, torch.get_num_threads()
        )
        return result

    def turn(
        self, projected: Float[Tensor, "T O"], layer: DecoderLayer, angles: Angles
    ) -> tuple[Float[Tensor, "Hq T D"], Float[Tensor, "Hk T D"], Float[Tensor, "Hk T D"]]:
        both = layer.query_heads + layer.key_heads
        heads = projected.view(len(projected), both + layer.key_heads, -1)
        query_norm, key_norm = layer.query_norm, layer.key_norm
        self._functions["turn"][projected.dtype](
            projected.data_ptr(),
            len(projected),
            projected.stride(0),
            layer.query_heads,
            both,
            heads.shape[2],
            angles.cos.data_ptr(),
            angles.cos.stride(0),
            angles.sin.data_ptr(),
            angles.sin.stride(0),
            None if query_norm is None else query_norm.gain.data_ptr(),
            None if key_norm is None else key_norm.gain.data_ptr(),
            0.0 if query_norm is None else query_norm.epsilon,
            0.0 if key_norm is None else key_norm.epsilon,
            torch.get_num_threads(),
        )
        query, key, value = heads.transpose(0, 1).split((layer.query_heads, layer.key_heads, layer.key_heads))
        return query, key, value

    def attend(
        self,
        heads: Heads,
        rows: Int64[Tensor, "R 6"],
        bands: Sequence[tuple[Float[Tensor, "places Hk tokens D"], Float[Tensor, "places Hk tokens D"]]],
    ) -> Float[Tensor, "Hq R D"]:
        """Appends each row's key and value to its own, and attends to its prompt and to what it has of its own.

        `rows` as of `row_table`; `bands`: the keys and values that its places are of.
        """
        query, key, value = (_by_row(each) for each in (heads.query, heads.key, heads.value))
        result = torch.empty(query.shape, dtype=query.dtype)
        numbers = [each for keys, values in bands for each in (keys.data_ptr(), values.data_ptr(), keys.shape[2])]
        table = (ctypes.c_int64 * len(numbers))(*numbers)
        self._functions["attend"][query.dtype](
            query.data_ptr(),
            query.stride(0),
            key.data_ptr(),
            key.stride(0),
            value.data_ptr(),
            value.stride(0),
            result.data_ptr(),
            rows.data_ptr(),
            ctypes.addressof(table),
            len(query),
            query.shape[1],
            key.shape[1],
            query.shape[2],
            heads.scale,
            heads.window or 0,
            torch.get_num_threads(),
        )
        return result.transpose(0, 1)

    def draw(
        self,
        logits: Float[Tensor, "R V"],
        rows: Int64[Tensor, " S"],
        uniforms: Float64[Tensor, " S"],
        temperature: float,
    ) -> tuple[Int64[Tensor, " S"], Float[Tensor, " S"]]:
        """A token for each of S samples, and its log-probability under the distribution it was drawn from.

        Sample s gets the first token whose cumulative probability in row `rows[s]` exceeds `uniforms[s]`. At
        temperature 0 it gets the most likely one, with its log-probability at temperature 1.
        """
        logits = logits.contiguous()
        tokens, logprobs = torch.empty_like(rows), torch.empty(len(rows))
        self._functions["draw"][logits.dtype](
            logits.data_ptr(),
            *logits.shape,
            temperature,
            rows.data_ptr(),
            uniforms.data_ptr(),
            len(rows),
            tokens.data_ptr(),
            logprobs.data_ptr(),
            torch.get_num_threads(),
        )
        return tokens, logprobs


def _by_type(library: ctypes.CDLL, name: str, arguments: Sequence[type]) -> dict[torch.dtype, Callable[..., None]]:
    return {dtype: _declared(library[f"{name}_{suffix}"], arguments) for dtype, suffix in TYPES.items()}


def _declared(
    function: Callable[..., Any], arguments: Sequence[type], result: type | None = None
) -> Callable[..., Any]:
    declared: Any = function
    declared.argtypes, declared.restype = arguments, result
    return function


def _by_row(heads: Float[Tensor, "heads R D"]) -> Float[Tensor, "R heads D"]:
    """With the heads of a row side by side."""
    rows = heads.transpose(0, 1)
    is_dense = rows.stride(1) == rows.shape[2] and rows.stride(2) == 1
    return rows if is_dense else rows.contiguous()
