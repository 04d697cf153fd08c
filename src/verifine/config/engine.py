"""Which engine samples answers, and how. Another engine is another section, told apart by `type`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from verifine.config.graders.schema import Schema


class NativeEngineConfig(Schema):
    """Verifine's own engine: it samples from the weights that are trained."""

    type: Literal["native"] = Field(default="native", description="Which engine samples.")
    precision: Literal["same", "int8"] = Field(
        default="same",
        description="What answers to learn from are sampled in. same: as model.precision. int8: faster on processors "
        "with VNNI and without AMX; algorithm.importance_cap (then 2 unless you set it) corrects for the difference.",
    )

    @property
    def is_exact(self) -> bool:
        """Whether answers to learn from are sampled from the policy itself, up to floating-point rounding."""
        return self.precision == "same"

    def copy_bytes(self, parameters: int) -> int:
        """Memory for a copy of the weights of a model with so many parameters, beside those that are trained."""
        return 0 if self.precision == "same" else parameters


EngineConfig: TypeAlias = NativeEngineConfig
"""The engines there are: a union discriminated by `type` once there is a second one."""
