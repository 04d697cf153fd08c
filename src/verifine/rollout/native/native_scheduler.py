"""Continuous batching: requests wait, are prefilled, and are answered token by token; finished rows give up theirs."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from verifine.errors import EngineError
from verifine.models.network.compiled.kernels import find_kernels
from verifine.models.network.tree import Branch, grow_tree
from verifine.models.network.trie import Tokens
from verifine.rollout.native.cache import Capacity, Joining, SharedRowCache
from verifine.rollout.native.choose import Draws, RowSettings, choose_tokens_by_row
from verifine.rollout.native.logits import OwnDistribution, change_logits, own_distributions
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.prefill import Prefill
from verifine.rollout.native.read_budget import READ_SHARE, ReadBudget
from verifine.rollout.native.shared_rows import SharedRow, split
from verifine.rollout.native.uniforms import uniforms
from verifine.rollout.scheduler import Request, TokenEvent
from verifine.types import FinishReason

AHEAD_TOKENS = 64
"""What joins leaves room for so many more tokens of everything that is being answered."""


class NativeScheduler:
    """Samples of a request that have the same tokens so far share a row (`shared_rows`).

    Requests are admitted in the order in which they were added, while there are rows for their samples and there is
    memory for what has been written and a little more. When answers outgrow the memory, the youngest request is set
    aside; it is read again when there is room, before new ones, and goes on with the same random numbers. One step
    reads only so much (`read_budget`); the rest joins in the next ones.

    `refill_share`: requests are only admitted when this share of the rows is free, since prefilling many prompts at a
    time is faster; 0: as soon as one fits. `read_tokens`: one step reads at most so many tokens, and one request in any
    case, so that those who came first need not wait until the last has been read; None: what the memory allows.
    """

    def __init__(
        self,
        runner: ModelRunner,
        capacity: Capacity,
        device: torch.device,
        *,
        refill_share: float = 0.0,
        read_tokens: int | None = None,
    ) -> None:
        self._runner = runner
        self._capacity = capacity
        self._refill_share = refill_share
        allowed = capacity.tokens // READ_SHARE
        self._read_tokens = allowed if read_tokens is None else min(read_tokens, allowed)
        self._device = device
        self._cache = SharedRowCache(capacity, device, find_kernels() if device.type == "cpu" else None)
        self._waiting: deque[Request] = deque()
        self._set_aside: deque[list[SharedRow]] = deque()
        """The unfinished rows of requests, the oldest request first."""
        self._rows: list[SharedRow] = []
        """In the order of the cache."""
        self._age: dict[str, int] = {}
        """When each request was admitted, for those with rows."""
        self._admitted = 0
        self._is_filling = False
        """Whether the last step admitted as many requests as are read at a time, and more wait."""

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._rows and not self._set_aside

    @property
    def allocated_tokens(self) -> int:
        """Tokens of the places that there are, whether they are written or not."""
        return self._cache.allocated_tokens

    def add(self, request: Request) -> None:
        capacity = self._capacity
        prompt, answer, samples = len(request.token_ids), request.max_new_tokens, len(request.keys)
        if (
            prompt > capacity.prompt_tokens
            or answer > capacity.own_tokens
            or samples > capacity.rows
            or capacity.tokens_of(prompt, [answer] * samples, is_shared=samples > 1) > capacity.tokens
        ):
            raise EngineError(
                f"request {request.id} does not fit: it has {prompt} tokens and asks for {samples} answers of up to "
                f"{answer}, and there is room for {capacity.prompt_tokens}, {capacity.rows} and {capacity.own_tokens}, "
                f"and for {capacity.tokens} in all."
            )
        self._waiting.append(request)

    @torch.no_grad()
    def step(self) -> list[TokenEvent]:
        self._resume()
        parts = [self._read()] if self._rows else []
        if admitted := self._admissible():
            parts.append(self._admit(admitted))
        if not parts:
            return []
        return self._write(torch.cat(parts) if len(parts) > 1 else parts[0])

    def cancel(self, request_id: str) -> None:
        self._waiting = deque(request for request in self._waiting if request.id != request_id)
        self._set_aside = deque(rows for rows in self._set_aside if rows[0].request.id != request_id)
        kept = [place for place, row in enumerate(self._rows) if row.request.id != request_id]
        if len(kept) < len(self._rows):
            self._keep([self._rows[place] for place in kept], kept)

    def _admissible(self) -> list[Request]:
        """The waiting requests that are admitted now: each of their samples may come to need a row of its own."""
        capacity = self._capacity
        free = capacity.rows - sum(len(row.samples) for row in self._rows)
        is_due = self._is_filling or not self._rows or free >= self._refill_share * capacity.rows
        self._is_filling = False
        if self._set_aside or not self._waiting or not is_due:
            return []
        admitted: list[Request] = []
        budget = ReadBudget(self._read_tokens)
        held = self._tokens_of(self._rows, AHEAD_TOKENS)
        while self._waiting and len(self._waiting[0].keys) <= free:
            request = self._waiting[0]
            ahead = min(AHEAD_TOKENS, request.max_new_tokens)
            samples = len(request.keys)
            held += capacity.tokens_of(len(request.token_ids), [ahead] * samples, is_shared=samples > 1)
            if held > capacity.tokens and (self._rows or admitted):
                break
            if not budget.takes([request.token_ids]):
                self._is_filling = True
                break
            admitted.append(self._waiting.popleft())
            free -= samples
        return admitted

    def _admit(self, requests: Sequence[Request]) -> Float[Tensor, "P V"]:
        """Prefills requests; returns the logits of their first tokens."""
        tree = grow_tree([Branch(prompt=request.token_ids) for request in requests], self._device)
        prefill = Prefill(tree)
        hidden = prefill.read(self._runner.trunk)
        nothing = torch.empty(0, dtype=torch.long, device=self._device)
        self._cache.admit(
            prefill,
            [
                Joining(prompt=where, written=[nothing], is_shared=len(request.keys) > 1)
                for request, where in zip(requests, tree.prompts, strict=True)
            ],
        )
        self._rows += [SharedRow.begin(request) for request in requests]
        self._count_in(requests)
        return self._runner.logits(hidden)

    def _resume(self) -> None:
        """Reads what was set aside again, the oldest request first, while it fits; the rest in later steps."""
        if not self._set_aside:
            return
        resumed: list[list[SharedRow]] = []
        budget = ReadBudget(self._read_tokens)
        held = self._tokens_of(self._rows, AHEAD_TOKENS)
        while self._set_aside:
            held += self._tokens_of(self._set_aside[0], AHEAD_TOKENS)
            if held > self._capacity.tokens and (self._rows or resumed):
                break
            if not budget.takes(_readings(self._set_aside[0])):
                break
            resumed.append(self._set_aside.popleft())
        if not resumed:
            return
        tree = grow_tree([Branch(prompt=each) for rows in resumed for each in _readings(rows)], self._device)
        prefill = Prefill(tree)
        prefill.read(self._runner.trunk)
        paths = iter(tree.prompts)
        joining = []
        for rows in resumed:
            length, own = len(rows[0].request.token_ids), [next(paths) for _ in rows]
            is_shared = len(rows[0].request.keys) > 1
            written = [path[length:] for path in own]
            joining.append(Joining(prompt=own[0][:length], written=written, is_shared=is_shared))
        self._cache.admit(prefill, joining)
        self._count_in([rows[0].request for rows in resumed])
        rows = [*self._rows, *(row for rows in resumed for row in rows)]
        self._keep(rows, range(len(rows)))

    def _count_in(self, requests: Sequence[Request]) -> None:
        for request in requests:
            self._age[request.id] = self._admitted
            self._admitted += 1

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
        """Replaces the rows, each of which continues the old row `parents[i]`; sets aside what has no room."""
        self._age = {row.request.id: self._age[row.request.id] for row in rows}
        continuing = list(zip(rows, parents, strict=True))
        while self._tokens_of([row for row, _ in continuing], 0) > self._capacity.tokens and len(self._age) > 1:
            youngest = max(self._age, key=self._age.__getitem__)
            del self._age[youngest]
            self._set_aside.appendleft([row for row, _ in continuing if row.request.id == youngest])
            continuing = [pair for pair in continuing if pair[0].request.id != youngest]
        order = self._cache.rearrange([parent for _, parent in continuing])
        self._rows = [continuing[index][0] for index in order]

    def _tokens_of(self, rows: Sequence[SharedRow], ahead: int) -> int:
        """The tokens of the places of these rows and their prompts, once each has written `ahead` tokens more."""
        answers: dict[str, list[SharedRow]] = {}
        for row in rows:
            answers.setdefault(row.request.id, []).append(row)
        total = 0
        for own in answers.values():
            request = own[0].request
            written = [min(len(row.token_ids) + ahead, request.max_new_tokens) for row in own]
            total += self._capacity.tokens_of(len(request.token_ids), written, is_shared=len(request.keys) > 1)
        return total

    def _draws(self) -> Draws:
        places = [place for place, row in enumerate(self._rows) for _ in row.samples]
        keys = [row.request.keys[sample] for row in self._rows for sample in row.samples]
        written = [len(row.token_ids) for row in self._rows for _ in row.samples]
        numbers = uniforms(np.array(keys, dtype=np.uint64), np.array(written, dtype=np.uint64))
        return Draws(
            rows=torch.tensor(places, device=self._device), uniforms=torch.from_numpy(numbers).to(self._device)
        )


def _readings(rows: Sequence[SharedRow]) -> list[Tokens]:
    """What is read of each row when it is resumed; its last token is read with those of all others."""
    return [row.request.token_ids + tuple(row.token_ids[:-1]) for row in rows]


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
