"""Decoding: prompts wait, are read, and are answered token by token; what ends makes room for what waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from verifine.models.forward import hidden_states
from verifine.models.tree import Branch, grow_tree
from verifine.rollout.cache import Capacity, StemCache
from verifine.rollout.choose import Draws, choose_tokens
from verifine.rollout.prefill import Prefill
from verifine.rollout.reader import Reader
from verifine.rollout.stems import Stem, arrange, arrange_all, split
from verifine.rollout.uniforms import rollout_keys, uniforms
from verifine.types import FinishReason, Prompt, Sampling

REFILL_SHARE = 0.25
"""Waiting prompts come in when so much of the room is free: many at a time are read faster than one by one."""

EARLY_TOKENS = 8
"""Own tokens of a row that are moved without a thought."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A finished sample, in tokens."""

    prompt: Prompt
    sample: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


class Decoding:
    """One call of the engine. `has_ended` says whether tokens that were written so far end an answer."""

    def __init__(
        self, reader: Reader, sampling: Sampling, capacity: Capacity, has_ended: Callable[[Sequence[int]], bool]
    ) -> None:
        self._reader = reader
        self._sampling = sampling
        self._capacity = capacity
        self._has_ended = has_ended
        self._device = reader.network.device
        self._cache = StemCache(capacity, self._device)
        self._stems: list[Stem] = []
        """In the order of the cache."""
        self._keys: dict[str, list[int]] = {}

    def run(self, prompts: Sequence[Prompt]) -> Iterator[Answer]:
        """Every sample of every prompt, in whatever order they end."""
        # The longest first: if they fit, everything does.
        waiting = deque(sorted(prompts, key=lambda prompt: -len(prompt.token_ids)))
        logits = self._admit(waiting)
        while self._stems:
            yield from self._write(logits)
            parts = [self._read()] if self._stems else []
            if waiting and self._should_refill():
                parts.append(self._admit(waiting))
            logits = torch.cat(parts) if len(parts) > 1 else parts[0] if parts else logits

    def _should_refill(self) -> bool:
        free = self._capacity.stems - self._unfinished
        return not self._stems or (free >= REFILL_SHARE * self._capacity.stems and self._room() > 0)

    @property
    def _unfinished(self) -> int:
        return sum(len(stem.samples) for stem in self._stems)

    def _room(self) -> int:
        """How many prompts can come in: each of their samples may become a stem of its own."""
        by_stems = (self._capacity.stems - self._unfinished) // self._sampling.group_size
        return min(by_stems, self._capacity.groups - self._cache.held_groups)

    def _admit(self, waiting: deque[Prompt]) -> Float[Tensor, "P V"]:
        """Reads as many waiting prompts as there is room for; says what each may go on with."""
        prompts = [waiting.popleft() for _ in range(min(self._room(), len(waiting)))]
        sampling = self._sampling
        self._keys |= {prompt.id: rollout_keys(prompt, sampling) for prompt in prompts}
        tree = grow_tree([Branch(prompt=prompt.token_ids) for prompt in prompts], self._device)
        prefill = Prefill(tree)
        hidden = prefill.read(self._reader.network)
        self._cache.admit(prefill, tree)
        self._stems += [Stem(prompt=prompt, samples=list(range(sampling.group_size))) for prompt in prompts]
        return self._reader.logits(hidden)

    def _write(self, logits: Float[Tensor, "R V"]) -> Iterator[Answer]:
        """Draws every sample's next token; what is not ended by it goes on."""
        stems, sampling = self._stems, self._sampling
        tokens, logprobs = choose_tokens(logits, self._draws(), sampling.temperature)
        drawn = iter(zip(tokens.tolist(), logprobs.tolist(), strict=True))
        going: list[Stem] = []
        parents: list[int] = []
        for row, stem in enumerate(stems):
            for child in split(stem, [next(drawn) for _ in stem.samples]):
                reason = self._finish_reason(child)
                if reason is None:
                    going.append(child)
                    parents.append(row)
                else:
                    yield from _answers(child, reason)
        # While little is written, the rows of a group are brought together: multiplying with its prompt is faster then.
        is_early = max((len(stem.token_ids) for stem in going), default=0) <= EARLY_TOKENS
        arrangement = arrange_all(parents) if is_early else arrange(parents)
        self._cache.rearrange(arrangement, parents)
        self._stems = [going[index] for index in arrangement.order]

    def _draws(self) -> Draws:
        rows = [row for row, stem in enumerate(self._stems) for _ in stem.samples]
        keys = [self._keys[stem.prompt.id][sample] for stem in self._stems for sample in stem.samples]
        written = [len(stem.token_ids) for stem in self._stems for _ in stem.samples]
        numbers = uniforms(np.array(keys, dtype=np.uint64), np.array(written, dtype=np.uint64))
        return Draws(rows=torch.tensor(rows, device=self._device), uniforms=torch.from_numpy(numbers).to(self._device))

    def _finish_reason(self, stem: Stem) -> FinishReason | None:
        if self._has_ended(stem.token_ids):
            return FinishReason.STOP
        return FinishReason.LENGTH if len(stem.token_ids) == self._sampling.max_new_tokens else None

    def _read(self) -> Float[Tensor, "R V"]:
        """Reads the stems' last tokens; says what each may go on with."""
        tokens = torch.tensor([stem.token_ids[-1] for stem in self._stems], device=self._device)
        hidden = hidden_states(self._reader.network, tokens, self._cache.positions, self._cache)
        self._cache.advance()
        return self._reader.logits(hidden)


def _answers(stem: Stem, reason: FinishReason) -> Iterator[Answer]:
    for sample in stem.samples:
        yield Answer(
            prompt=stem.prompt,
            sample=sample,
            token_ids=tuple(stem.token_ids),
            logprobs=tuple(stem.logprobs),
            finish_reason=reason,
        )
