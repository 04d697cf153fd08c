"""Fakes of the engine and the learner: they return and remember what a test needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from verifine.algorithms.loss import Loss
from verifine.batch import Batch, Estimates
from verifine.learner.learner import LearnerState, TrainingBatch, UpdateOutcome, UpdateReport
from verifine.models.fingerprint import Fingerprint, take_fingerprint
from verifine.models.load import Weights
from verifine.rollout.engine import FLOAT32_ROUNDING_NATS, EngineTraits
from verifine.types import FinishReason, Group, Prompt, Rollout, Sampling, VersionSpan


class ScriptedEngine:
    """A rollout engine that gives scripted answers, with one token for each character."""

    def __init__(self, answer: Callable[[Prompt, int], str]) -> None:
        self._answer = answer
        self.version = 0
        self._fingerprint = take_fingerprint({})
        self.calls: list[tuple[tuple[str, ...], Sampling]] = []
        """The prompt ids and the sampling of every call."""
        self.samples: list[tuple[range, ...]] = []
        """The numbers of the samples that each call asked for, by prompt."""

    @property
    def traits(self) -> EngineTraits:
        return EngineTraits(is_exact=True, shares_weights=False, resident_bytes=0, rounding_nats=FLOAT32_ROUNDING_NATS)

    def generate(
        self, prompts: Sequence[Prompt], sampling: Sampling, samples: Sequence[range] | None = None
    ) -> list[Group]:
        self.calls.append((tuple(prompt.id for prompt in prompts), sampling))
        numbers = [range(sampling.group_size)] * len(prompts) if samples is None else samples
        self.samples.append(tuple(numbers))
        return [
            Group(prompt=prompt, rollouts=tuple(self._rollout(prompt, sample, sampling) for sample in asked))
            for prompt, asked in zip(prompts, numbers, strict=True)
        ]

    def load_weights(self, weights: Weights, version: int) -> None:
        """A script needs no weights, but it can say what it was given."""
        self._fingerprint = take_fingerprint(weights)
        self.version = version

    def logprobs(self, rollouts: Sequence[Rollout], sampling: Sampling) -> list[list[float]]:  # noqa: ARG002
        return [list(rollout.behaviour_logprobs) for rollout in rollouts]

    def fingerprint(self) -> Fingerprint:
        return self._fingerprint

    def close(self) -> None: ...

    def _rollout(self, prompt: Prompt, sample: int, sampling: Sampling) -> Rollout:
        text = self._answer(prompt, sample)
        token_ids = tuple(ord(character) for character in text[: sampling.max_new_tokens]) or (0,)
        return Rollout(
            prompt=prompt,
            token_ids=token_ids,
            behaviour_logprobs=(-1.0,) * len(token_ids),
            text=text[: sampling.max_new_tokens],
            finish_reason=FinishReason.LENGTH if len(text) > sampling.max_new_tokens else FinishReason.STOP,
            versions=(VersionSpan(version=self.version, tokens=len(token_ids)),),
        )


class FakeLearner:
    """A learner that remembers what it was given and changes nothing."""

    def __init__(self, outcome: UpdateOutcome = UpdateOutcome.APPLIED) -> None:
        self._outcome = outcome
        self.training_batches: list[TrainingBatch] = []
        """What each update was given."""
        self.losses: list[Loss] = []
        """Likewise."""
        self.rate_factors: list[float] = []
        """Likewise."""

    def estimate(self, batch: Batch) -> Estimates:  # noqa: ARG002
        return Estimates(old_logprobs=None, reference_logprobs=None, values=None)

    def update(self, training_batch: TrainingBatch, loss: Loss, rate_factor: float = 1.0) -> UpdateReport:
        self.training_batches.append(training_batch)
        self.losses.append(loss)
        self.rate_factors.append(rate_factor)
        return UpdateReport(outcome=self._outcome, gauges={"loss": 0.0, "learning_rate": 0.0})

    def weights(self) -> Weights:
        return {}

    def state(self) -> LearnerState:
        return LearnerState(tensors={}, updates=len(self.training_batches))

    def restore(self, state: LearnerState) -> None:
        """Nothing was changed."""
