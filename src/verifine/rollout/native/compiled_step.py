"""The attention of one decoding step by compiled kernels: a row at a time, wherever its keys and values lie."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from verifine.models.network.attention import Heads
from verifine.models.network.compiled.kernels import Kernels, Stored, row_table
from verifine.rollout.native.decode_step import PlacedPrompt, PlacedRow
from verifine.rollout.native.places import PlaceStore


class CompiledStep:
    """As `DecodeStep`, which gives the same."""

    def __init__(self, kernels: Kernels, rows: Sequence[PlacedRow]) -> None:
        self._kernels = kernels
        held: list[PlacedRow | PlacedPrompt] = [*rows, *(row.prompt for row in rows if row.prompt is not None)]
        self._bands = list(dict.fromkeys(each.place.band for each in held))
        numbers = {band: number for number, band in enumerate(self._bands)}

        def numbered(each: PlacedRow | PlacedPrompt) -> Stored:
            return Stored(numbers[each.place.band], each.place.index, each.tokens)

        self._rows = row_table([(numbered(row), None if row.prompt is None else numbered(row.prompt)) for row in rows])

    def attend(self, heads: Heads, store: PlaceStore) -> Float[Tensor, "Hq R D"]:
        return self._kernels.attend(heads, self._rows, [store.layer(band, heads.layer) for band in self._bands])
