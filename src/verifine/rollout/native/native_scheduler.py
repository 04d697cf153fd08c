"""Continuous batching: requests wait, are prefilled, and are answered token by token; finished rows give up theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from verifine.errors import EngineError
from verifine.models.network.tree import Branch, grow_tree
from verifine.rollout.native.cache import Capacity, SharedRowCache
from verifine.rollout.native.choose import Draws, RowSettings, choose_tokens_by_row
from verifine.rollout.native.logits import OwnDistribution, change_logits, own_distributions
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.shared_rows import (
    Arrangement,
    SharedRow,
    arrange_in_order,
    arrange_with_fewest_copies,
    split,
)
from verifine.rollout.native.uniforms import uniforms
from verifine.rollout.scheduler import Request, TokenEvent
from verifine.types import FinishReason

EARLY_TOKENS = 8
"""Up to this length, moving a row's keys and values costs next to nothing."""


class NativeScheduler:
    """Samples of a request that have the same tokens so far share a row (`shared_rows`).

    Requests are admitted in the order in which they were added, while their samples have rows. `refill_share`: only
    when this share of the rows is free, since prefilling many prompts at a time is faster; 0: as soon as one fits.
    """

    def __init__(
        self, runner: ModelRunner, capacity: Capacity, device: torch.device, *, refill_share: float = 0.0
    ) -> None:
        self._runner = runner
        self._capacity = capacity
        self._refill_share = refill_share
        self._device = device
        self._cache = SharedRowCache(capacity, device)
        self._waiting: deque[Request] = deque()
        self._rows: list[SharedRow] = []
        """In the order of the cache."""

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._rows

    def add(self, request: Request) -> None:
        capacity = self._capacity
        if (
            len(request.token_ids) > capacity.prompt_tokens
            or request.max_new_tokens > capacity.own_tokens
            or len(request.keys) > capacity.rows
        ):
            raise EngineError(
                f"request {request.id} does not fit: it has {len(request.token_ids)} tokens and asks for "
                f"{len(request.keys)} answers of up to {request.max_new_tokens}, and there is room for "
                f"{capacity.prompt_tokens}, {capacity.rows} and {capacity.own_tokens}."
            )
        self._waiting.append(request)

    @torch.no_grad()
    def step(self) -> list[TokenEvent]:
        parts = [self._read()] if self._rows else []
        if admitted := self._admissible():
            parts.append(self._admit(admitted))
        if not parts:
            return []
        return self._write(torch.cat(parts) if len(parts) > 1 else parts[0])

    def cancel(self, request_id: str) -> None:
        self._waiting = deque(request for request in self._waiting if request.id != request_id)
        kept = [place for place, row in enumerate(self._rows) if row.request.id != request_id]
        if len(kept) < len(self._rows):
            self._keep([self._rows[place] for place in kept], kept)

    @property
    def _unfinished(self) -> int:
        return sum(len(row.samples) for row in self._rows)

    def _admissible(self) -> list[Request]:
        """The waiting requests that are admitted now: each of their samples may come to need a row of its own."""
        free = self._capacity.rows - self._unfinished
        if self._rows and free < self._refill_share * self._capacity.rows:
            return []
        admitted: list[Request] = []
        places = self._capacity.groups - self._cache.held_groups
        while self._waiting and len(self._waiting[0].keys) <= free and len(admitted) < places:
            admitted.append(self._waiting.popleft())
            free -= len(admitted[-1].keys)
        return admitted

    def _admit(self, requests: Sequence[Request]) -> Float[Tensor, "P V"]:
        """Prefills requests; returns the logits of their first tokens."""
        tree = grow_tree([Branch(prompt=request.token_ids) for request in requests], self._device)
        prefill = Prefill(tree)
        hidden = prefill.read(self._runner.trunk)
        self._cache.admit(prefill, tree)
        self._rows += [SharedRow.begin(request) for request in requests]
        return self._runner.logits(hidden)

    def _read(self) -> Float[Tensor, "R V"]:
        """Runs the rows' last tokens through the model; returns the logits of their next ones."""
        tokens = torch.tensor([row.token_ids[-1] for row in self._rows], device=self._device)
        hidden = self._runner.trunk.hidden_states(tokens, self._cache.positions, self._cache)
        self._cache.advance()
        return self._runner.logits(hidden)

    def _write(self, logits: Float[Tensor, "R V"]) -> list[TokenEvent]:
        """Draws every sample's next token, and keeps the rows that go on."""
        own = own_distributions(logits, self._rows)
        logits = change_logits(logits, self._rows)
        settings = [RowSettings(temperature=row.request.temperature, top_p=row.request.top_p) for row in self._rows]
        tokens, logprobs = choose_tokens_by_row(logits, self._draws(), settings)
        drawn = iter(zip(tokens.tolist(), logprobs.tolist(), strict=True))
        events: list[TokenEvent] = []
        unfinished: list[SharedRow] = []
        parents: list[int] = []
        for place, row in enumerate(self._rows):
            for child in split(row, [next(drawn) for _ in row.samples]):
                reason = _finish_reason(child)
                events += _events(child, reason, own.get(place))
                if reason is None:
                    unfinished.append(child)
                    parents.append(place)
        self._keep(unfinished, parents)
        return events

    def _keep(self, rows: Sequence[SharedRow], parents: Sequence[int]) -> None:
        """Replaces the rows: each continues the old row `parents[i]`."""
        arrangement = _arrange(rows, parents)
        self._cache.rearrange(arrangement, parents)
        self._rows = [rows[index] for index in arrangement.order]

    def _draws(self) -> Draws:
        places = [place for place, row in enumerate(self._rows) for _ in row.samples]
        keys = [row.request.keys[sample] for row in self._rows for sample in row.samples]
        written = [len(row.token_ids) for row in self._rows for _ in row.samples]
        numbers = uniforms(np.array(keys, dtype=np.uint64), np.array(written, dtype=np.uint64))
        return Draws(
            rows=torch.tensor(places, device=self._device), uniforms=torch.from_numpy(numbers).to(self._device)
        )


def _finish_reason(row: SharedRow) -> FinishReason | None:
    if row.request.has_ended(row.token_ids):
        return FinishReason.STOP
    return FinishReason.LENGTH if len(row.token_ids) == row.request.max_new_tokens else None


def _events(row: SharedRow, reason: FinishReason | None, own: OwnDistribution | None) -> list[TokenEvent]:
    """The last token of a row, for each of its samples."""
    model = None if own is None else own.of(row.token_ids[-1])
    return [
        TokenEvent(
            request_id=row.request.id,
            sample=sample,
            token_id=row.token_ids[-1],
            logprob=row.logprobs[-1],
            finish_reason=reason,
            model=model,
        )
        for sample in row.samples
    ]


def _arrange(rows: Sequence[SharedRow], parents: Sequence[int]) -> Arrangement:
    """While rows are short, those of a group stand together: multiplying with their prompt is faster then."""
    is_early = max((len(row.token_ids) for row in rows), default=0) <= EARLY_TOKENS
    return arrange_in_order(parents) if is_early else arrange_with_fewest_copies(parents)
