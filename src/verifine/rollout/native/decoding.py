"""The rollouts of some prompts: the loop over the scheduler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import torch

from verifine.models.thinking import ThinkingLimit
from verifine.rollout.native.cache import Capacity
from verifine.rollout.native.model_runner import ModelRunner
from verifine.rollout.native.native_scheduler import NativeScheduler
from verifine.rollout.native.thinking import ThinkingConstraint
from verifine.rollout.native.uniforms import rollout_keys
from verifine.rollout.scheduler import LogitChanges, Request
from verifine.types import FinishReason, Prompt, Sampling

REFILL_SHARE = 0.25
"""Waiting prompts are admitted when this share of the rows is free: prefilling many at a time is faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRules:
    """What holds for the answers of one call, besides how their tokens are drawn."""

    has_ended: Callable[[Sequence[int]], bool]
    """Whether an answer ends with the tokens written so far."""
    thinking: ThinkingLimit | None = None
    """None: a thought may fill the whole answer."""


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
    """One call of the engine."""

    def __init__(
        self,
        runner: ModelRunner,
        sampling: Sampling,
        capacity: Capacity,
        rules: AnswerRules,
        device: torch.device,
    ) -> None:
        self._sampling = sampling
        self._rules = rules
        self._scheduler = NativeScheduler(runner, capacity, device, refill_share=REFILL_SHARE)

    def run(self, prompts: Sequence[Prompt], samples: Sequence[range]) -> Iterator[FinishedRollout]:
        """The samples of every prompt, by their numbers, in the order in which they end."""
        asked = {prompt.id: (prompt, numbers) for prompt, numbers in zip(prompts, samples, strict=True)}
        # The longest first: if they fit, everything does.
        for prompt, numbers in sorted(asked.values(), key=lambda each: -len(each[0].token_ids)):
            self._scheduler.add(self._request(prompt, numbers))
        answers = {(name, index): _Answer() for name, (_, numbers) in asked.items() for index in range(len(numbers))}
        while not self._scheduler.is_idle:
            for event in self._scheduler.step():
                answer = answers[event.request_id, event.sample]
                answer.token_ids.append(event.token_id)
                answer.logprobs.append(event.logprob)
                if event.finish_reason is not None:
                    prompt, numbers = asked[event.request_id]
                    yield FinishedRollout(
                        prompt=prompt,
                        sample=numbers[event.sample],
                        token_ids=tuple(answer.token_ids),
                        logprobs=tuple(answer.logprobs),
                        finish_reason=event.finish_reason,
                    )

    def _request(self, prompt: Prompt, samples: range) -> Request:
        sampling = self._sampling
        return Request(
            id=prompt.id,
            token_ids=prompt.token_ids,
            keys=tuple(rollout_keys(prompt, sampling, samples)),
            max_new_tokens=sampling.max_new_tokens,
            has_ended=self._rules.has_ended,
            temperature=sampling.temperature,
            changes=self._changes(prompt),
        )

    def _changes(self, prompt: Prompt) -> LogitChanges | None:
        limit = self._rules.thinking
        if limit is None:
            return None
        return LogitChanges(constrain=partial(ThinkingConstraint, limit, limit.begin(prompt.opened)))
