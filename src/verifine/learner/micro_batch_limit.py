"""How much of a batch is read at a time, and what is left to try where that does not fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

from verifine.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatchLimit:
    """What one forward and backward pass is about."""

    tokens: int
    """At most, or one rollout."""
    recompute: bool
    """Whether activations are computed again in the backward pass instead of kept."""

    def __str__(self) -> str:
        return f"micro-batches of {self.tokens} tokens{', activations computed again' if self.recompute else ''}"

    def smaller(self, largest: int, least: int) -> MicroBatchLimit:
        """Half of what was read at most; then, where one rollout is read at a time, nothing but its layers' inputs.

        `largest` is how many tokens were read together, `least` how many the longest rollout has.

        Raises:
            TrainingError: that was tried as well.
        """
        if largest > least:
            return replace(self, tokens=max(largest // 2, least))
        if not self.recompute:
            return replace(self, recompute=True)
        raise TrainingError(
            f"out of memory: a prompt and its answer of {least} tokens together do not fit, even read alone and with "
            "activations computed again. Lower sampling.max_new_tokens, shorten the prompts, train adapters alone "
            "(model.lora: {}), or take a smaller model (model.name)."
        )
