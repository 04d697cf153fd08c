"""What the native engine samples from: the policy's own weights, or a quantized copy of them."""

from __future__ import annotations

from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from verifine.models.load import LanguageModel
from verifine.models.network.decoder_trunk import InferenceTrunk
from verifine.models.network.packed_projection import PackedProjection, can_pack
from verifine.models.network.projection import Projection
from verifine.models.network.trunk import Trunk


class ModelRunner(Protocol):
    """A policy as the native engine runs it. R rows, H hidden size, V vocabulary."""

    @property
    def trunk(self) -> Trunk: ...

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]: ...


class OwnWeightsRunner:
    """Runs the learner's own weights, or copies of them in the type of the products that follow every change."""

    def __init__(self, model: LanguageModel) -> None:
        self.trunk: Trunk = model.trunk.for_inference()
        self._vocabulary_head = model.head
        head, dtype = (model.network.get_output_embeddings(),), model.compute_dtype
        self._head = PackedProjection(head, dtype) if can_pack(model.device, dtype) else Projection(head, dtype)

    @property
    def resident_bytes(self) -> int:
        """What the copies take; those in float32 are the learner's own weights."""
        trunk_bytes = self.trunk.resident_bytes if isinstance(self.trunk, InferenceTrunk) else 0
        head_bytes = self._head.resident_bytes if isinstance(self._head, PackedProjection) else 0
        return trunk_bytes + head_bytes

    def logits(self, hidden: Float[Tensor, "R H"]) -> Float[Tensor, "R V"]:
        self._head.refresh()
        return self._vocabulary_head.finish(self._head(hidden.to(self.trunk.compute_dtype)))
