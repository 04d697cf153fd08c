"""The canary: after every weight sync, does the engine still sample from the policy that the learner trains?

Every check compares fingerprints of the weights, and the log-probabilities of the step's own rollouts, which the
learner computes anyway. Log-probabilities of a few fixed tokens, the probe, are compared when either looks suspicious,
and otherwise as often as that costs next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from verifine.errors import MismatchError
from verifine.models.fingerprint import Fingerprint
from verifine.models.policy import Policy
from verifine.rollout.engine import EngineTraits, RolloutEngine
from verifine.rollout.mismatch import (
    ADVICE,
    Cause,
    Diagnosis,
    ProbeEvidence,
    diagnose_logprobs,
    diagnose_weights,
    difference,
)
from verifine.types import FinishReason, Prompt, Rollout, Sampling

SUSPICIOUS = 0.25
"""The part of the tolerance from which the mismatch of a step's rollouts is a reason to probe."""

TEXT = "The largest of 3, 14 and 9 is 14, because"
TEXT_TOKENS, VOCABULARY_TOKENS = 18, 8
"""Tokens of the probe: of a likely text, and from all over the vocabulary."""

TOKENS_PER_PROBE = 12_800
"""A probe costs less than 1 % of sampling this many tokens."""

REMEMBERED = 4
"""How many of the latest updates are remembered, besides the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    weights: Fingerprint
    logprobs: Float[Tensor, " n"] | None
    """None: there was no probe."""


def tolerance(traits: EngineTraits, temperature: float) -> float:
    """How far engine and learner may differ on average because of rounding alone, in nats.

    Rounding changes logits, and low temperatures magnify that.
    """
    return traits.rounding_nats / min(temperature, 1.0)


def probe_interval(tokens_per_step: int) -> int:
    """Updates from one probe to the next if a step samples up to `tokens_per_step` tokens."""
    return math.ceil(TOKENS_PER_PROBE / max(tokens_per_step, 1))


def make_probes(tokenizer: PreTrainedTokenizerFast, vocabulary_size: int) -> tuple[Rollout, ...]:
    """The fixed tokens that are compared; the first token of each sequence is its prompt."""
    text = tuple(tokenizer(TEXT).input_ids)[:TEXT_TOKENS]
    spread = tuple((7919 * index + 11) % vocabulary_size for index in range(VOCABULARY_TOKENS))
    return tuple(_probe(tokens) for tokens in (text, spread) if len(tokens) > 1)


def _probe(tokens: tuple[int, ...]) -> Rollout:
    return Rollout(
        prompt=Prompt(id="canary", token_ids=tokens[:1], item={}),
        token_ids=tokens[1:],
        behaviour_logprobs=(),
        text="",
        finish_reason=FinishReason.LENGTH,
    )


class Canary:
    """Compares an engine with the policy that is trained."""

    def __init__(self, policy: Policy, probes: Sequence[Rollout], sampling: Sampling, interval: int = 1) -> None:
        """`sampling` is that of the run. Updates whose number is a multiple of `interval` are always probed."""
        self._policy = policy
        self._probes = probes
        self._sampling = sampling
        self._interval = interval
        self._past: dict[int, _Past] = {}

    def check(
        self, engine: RolloutEngine, version: int, rollout_mismatch: float | None = None, *, probe: bool = False
    ) -> dict[str, float]:
        """Compares engine and policy after update number `version`; returns metrics by the names of `runs.metrics`.

        Args:
            engine: What samples.
            version: How many updates its weights have seen.
            rollout_mismatch: `mismatch/mean` of the step's rollouts. None: the learner read none.
            probe: Whether to probe in any case.

        Raises:
            MismatchError: they differ by more than rounding; the message names the cause.
        """
        allowed = tolerance(engine.traits, self._sampling.temperature)
        weights = self._policy.fingerprint()
        wrong = diagnose_weights(weights, engine.fingerprint(), self._earlier_weights(version))
        far = 0.0 if rollout_mismatch is None else rollout_mismatch / allowed
        # NaN is suspicious, but no proof: it may come from the learner, which skips such updates.
        is_suspicious = wrong is not None or not far <= SUSPICIOUS
        if not (probe or is_suspicious or version % self._interval == 0):
            self._remember(version, _Past(weights=weights, logprobs=None))
            return {}
        learner = _flat(self._policy.logprobs(self._probes, self._sampling))
        given = _flat(engine.logprobs(self._probes, self._sampling))
        apart = difference(learner, given)
        mean, largest = apart.mean().item(), apart.max().item()
        if wrong is None and not mean <= allowed:
            wrong = self._diagnose(given, version, allowed)
        elif wrong is None and far > 1:
            says = f"on the rollouts of the step they differ by {rollout_mismatch:.3g} nats on average"
            wrong = Diagnosis(cause=Cause.DECODING, evidence=says)
        if wrong is not None:
            raise MismatchError(
                f"canary: after update {version} the engine samples from {wrong.cause}: {wrong.evidence}. On "
                f"{len(apart)} probe tokens its log-probabilities differ from the learner's by {mean:.3g} nats on "
                f"average and {largest:.3g} at most; rounding explains {allowed:.3g} on average. {ADVICE[wrong.cause]}"
            )
        self._remember(version, _Past(weights=weights, logprobs=learner))
        return {"mismatch/probe_mean": mean, "mismatch/probe_max": largest}

    def _diagnose(self, given: Float[Tensor, " n"], version: int, allowed: float) -> Diagnosis:
        starting = self._policy.starting_logprobs(self._probes, self._sampling)
        return diagnose_logprobs(
            ProbeEvidence(
                tokens=torch.tensor([token for probe in self._probes for token in probe.token_ids]),
                engine=given,
                logits=self._policy.logits(self._probes).cpu(),
                temperature=self._sampling.temperature,
                tolerance=allowed,
                earlier=self._earlier_logprobs(version),
                without_adapters=None if starting is None else _flat(starting),
            )
        )

    def _earlier_weights(self, version: int) -> dict[int, Fingerprint]:
        return {number: past.weights for number, past in self._past.items() if number != version}

    def _earlier_logprobs(self, version: int) -> dict[int, Float[Tensor, " n"]]:
        known = {number: past.logprobs for number, past in self._past.items() if number != version}
        return {number: logprobs for number, logprobs in known.items() if logprobs is not None}

    def _remember(self, version: int, past: _Past) -> None:
        self._past[version] = past
        for old in sorted(self._past)[1:-REMEMBERED]:
            del self._past[old]


def _flat(rows: Sequence[Sequence[float]]) -> Float[Tensor, " n"]:
    return torch.tensor([value for row in rows for value in row])
