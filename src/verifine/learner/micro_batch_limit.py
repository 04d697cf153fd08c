"""How much of a batch is read at a time, and what to try next where that does not fit into memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from verifine.errors import TrainingError


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatchLimit:
    """How large one forward and backward pass may be."""

    tokens: int
    """The most input tokens of a pass; one rollout may have more."""
    recompute: bool
    """Whether activations are computed again in the backward pass instead of kept."""

    def __str__(self) -> str:
        return f"micro-batches of {self.tokens} tokens{', activations computed again' if self.recompute else ''}"

    def smaller(self, largest: int, least: int) -> MicroBatchLimit:
        """The next smaller limit: half as many tokens, and once rollouts are read one by one, recomputed activations.

        `largest` is how many tokens the largest pass had, `least` how many the longest rollout has.

        Raises:
            TrainingError: nothing smaller is possible.
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
