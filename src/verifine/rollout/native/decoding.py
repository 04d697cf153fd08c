"""Continuous batching: prompts wait, are prefilled, and are answered token by token; finished rows free their place."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.network.tree import Branch, grow_tree
from verifine.rollout.native.cache import Capacity, SharedRowCache
from verifine.rollout.native.choose import Draws, choose_tokens
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.shared_rows import (
    Arrangement,
    SharedRow,
    arrange_in_order,
    arrange_with_fewest_copies,
    split,
)
from verifine.rollout.native.uniforms import rollout_keys, uniforms
from verifine.types import FinishReason, Prompt, Sampling

REFILL_SHARE = 0.25
"""Waiting prompts are admitted when this share of the rows is free: prefilling many at a time is faster."""

EARLY_TOKENS = 8
"""Up to this length, moving a row's keys and values costs next to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRollout:
    """A finished rollout, as tokens."""

    prompt: Prompt
    sample: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


class Decoding:
    """One call of the engine. `has_ended` tells whether an answer ends with the tokens written so far."""

    def __init__(
        self,
        runner: ModelRunner,
        sampling: Sampling,
        capacity: Capacity,
        has_ended: Callable[[Sequence[int]], bool],
        device: torch.device,
    ) -> None:
        self._runner = runner
        self._sampling = sampling
        self._capacity = capacity
        self._has_ended = has_ended
        self._device = device
        self._cache = SharedRowCache(capacity, self._device)
        self._rows: list[SharedRow] = []
        """In the order of the cache."""
        self._keys: dict[str, list[int]] = {}

    def run(self, prompts: Sequence[Prompt]) -> Iterator[FinishedRollout]:
        """Every sample of every prompt, in the order in which they end."""
        # The longest first: if they fit, everything does.
        waiting = deque(sorted(prompts, key=lambda prompt: -len(prompt.token_ids)))
        logits = self._admit(waiting)
        while self._rows:
            yield from self._write(logits)
            parts = [self._read()] if self._rows else []
            if waiting and self._should_refill():
                parts.append(self._admit(waiting))
            logits = torch.cat(parts) if len(parts) > 1 else parts[0] if parts else logits

    def _should_refill(self) -> bool:
        free = self._capacity.rows - self._unfinished
        return not self._rows or (free >= REFILL_SHARE * self._capacity.rows and self._free_groups() > 0)

    @property
    def _unfinished(self) -> int:
        return sum(len(row.samples) for row in self._rows)

    def _free_groups(self) -> int:
        """How many more prompts fit: each of their samples may come to need a row of its own."""
        by_rows = (self._capacity.rows - self._unfinished) // self._sampling.group_size
        return min(by_rows, self._capacity.groups - self._cache.held_groups)

    def _admit(self, waiting: deque[Prompt]) -> Float[Tensor, "P V"]:
        """Prefills as many waiting prompts as fit; returns the logits of their first tokens."""
        prompts = [waiting.popleft() for _ in range(min(self._free_groups(), len(waiting)))]
        sampling = self._sampling
        self._keys |= {prompt.id: rollout_keys(prompt, sampling) for prompt in prompts}
        tree = grow_tree([Branch(prompt=prompt.token_ids) for prompt in prompts], self._device)
        prefill = Prefill(tree)
        hidden = prefill.read(self._runner.trunk)
        self._cache.admit(prefill, tree)
        self._rows += [SharedRow(prompt=prompt, samples=list(range(sampling.group_size))) for prompt in prompts]
        return self._runner.logits(hidden)

    def _write(self, logits: Float[Tensor, "R V"]) -> Iterator[FinishedRollout]:
        """Draws every sample's next token; yields the rollouts that end with it and keeps the others."""
        tokens, logprobs = choose_tokens(logits, self._draws(), self._sampling.temperature)
        drawn = iter(zip(tokens.tolist(), logprobs.tolist(), strict=True))
        unfinished: list[SharedRow] = []
        parents: list[int] = []
        for place, row in enumerate(self._rows):
            for child in split(row, [next(drawn) for _ in row.samples]):
                reason = self._finish_reason(child)
                if reason is None:
                    unfinished.append(child)
                    parents.append(place)
                else:
                    yield from _finished(child, reason)
        arrangement = _arrange(unfinished, parents)
        self._cache.rearrange(arrangement, parents)
        self._rows = [unfinished[index] for index in arrangement.order]

    def _draws(self) -> Draws:
        places = [place for place, row in enumerate(self._rows) for _ in row.samples]
        keys = [self._keys[row.prompt.id][sample] for row in self._rows for sample in row.samples]
        written = [len(row.token_ids) for row in self._rows for _ in row.samples]
        numbers = uniforms(np.array(keys, dtype=np.uint64), np.array(written, dtype=np.uint64))
        return Draws(
            rows=torch.tensor(places, device=self._device), uniforms=torch.from_numpy(numbers).to(self._device)
        )

    def _finish_reason(self, row: SharedRow) -> FinishReason | None:
        if self._has_ended(row.token_ids):
            return FinishReason.STOP
        return FinishReason.LENGTH if len(row.token_ids) == self._sampling.max_new_tokens else None

    def _read(self) -> Float[Tensor, "R V"]:
        """Runs the rows' last tokens through the model; returns the logits of their next ones."""
        tokens = torch.tensor([row.token_ids[-1] for row in self._rows], device=self._device)
        hidden = self._runner.trunk.hidden_states(tokens, self._cache.positions, self._cache)
        self._cache.advance()
        return self._runner.logits(hidden)


def _arrange(rows: Sequence[SharedRow], parents: Sequence[int]) -> Arrangement:
    """While rows are short, those of a group stand together: multiplying with their prompt is faster then."""
    is_early = max((len(row.token_ids) for row in rows), default=0) <= EARLY_TOKENS
    return arrange_in_order(parents) if is_early else arrange_with_fewest_copies(parents)


def _finished(row: SharedRow, reason: FinishReason) -> Iterator[FinishedRollout]:
    for sample in row.samples:
        yield FinishedRollout(
            prompt=row.prompt,
            sample=sample,
            token_ids=tuple(row.token_ids),
            logprobs=tuple(row.logprobs),
            finish_reason=reason,
        )
