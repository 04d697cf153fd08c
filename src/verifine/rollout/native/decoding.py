"""The rollouts of some prompts: the loop over the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.native.uniforms import rollout_keys
from verifine.rollout.scheduler import Request
from verifine.types import FinishReason, Prompt, Sampling

REFILL_SHARE = 0.25
"""Waiting prompts are admitted when this share of the rows is free: prefilling many at a time is faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRollout:
    """A finished rollout, as tokens."""

    prompt: Prompt
    sample: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish_reason: FinishReason


@dataclass(slots=True)
class _Answer:
    """What a sample has written so far."""

    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


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
        self._sampling = sampling
        self._has_ended = has_ended
        self._scheduler = NativeScheduler(runner, capacity, device, refill_share=REFILL_SHARE)

    def run(self, prompts: Sequence[Prompt]) -> Iterator[FinishedRollout]:
        """Every sample of every prompt, in the order in which they end."""
        # The longest first: if they fit, everything does.
        for prompt in sorted(prompts, key=lambda prompt: -len(prompt.token_ids)):
            self._scheduler.add(self._request(prompt))
        by_id = {prompt.id: prompt for prompt in prompts}
        answers = {(prompt.id, sample): _Answer() for prompt in prompts for sample in range(self._sampling.group_size)}
        while not self._scheduler.is_idle:
            for event in self._scheduler.step():
                answer = answers[event.request_id, event.sample]
                answer.token_ids.append(event.token_id)
                answer.logprobs.append(event.logprob)
                if event.finish_reason is not None:
                    yield FinishedRollout(
                        prompt=by_id[event.request_id],
                        sample=event.sample,
                        token_ids=tuple(answer.token_ids),
                        logprobs=tuple(answer.logprobs),
                        finish_reason=event.finish_reason,
                    )

    def _request(self, prompt: Prompt) -> Request:
        sampling = self._sampling
        return Request(
            id=prompt.id,
            token_ids=prompt.token_ids,
            keys=tuple(rollout_keys(prompt, sampling)),
            max_new_tokens=sampling.max_new_tokens,
            has_ended=self._has_ended,
            temperature=sampling.temperature,
        )
