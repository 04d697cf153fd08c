"""The canary: after every weight sync, does the engine still sample from the model that the learner trains?

Fingerprints of the weights are compared every time, and so are the log-probabilities of a step's own rollouts, which
the learner computes anyway. Log-probabilities of a few fixed tokens are compared wherever either gives reason to, and
every time where that costs next to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from verifine.errors import MismatchError
from verifine.models.fingerprint import Fingerprint, fingerprint
from verifine.models.forward import head_weight, tree_hidden_states, tree_logprobs
from verifine.models.load import LanguageModel
from verifine.models.lora import adapters_off, has_adapters
from verifine.models.tree import Branch, grow_tree
from verifine.rollout.engine import RolloutEngine
from verifine.rollout.mismatch import (
    ADVICE,
    Cause,
    Diagnosis,
    Evidence,
    diagnose_logprobs,
    diagnose_weights,
    difference,
)
from verifine.types import FinishReason, Prompt, Rollout, Sampling

FLOAT32_TOLERANCE, BFLOAT16_TOLERANCE, INT8_TOLERANCE = 1e-3, 0.2, 0.6
"""Mean differences of log-probabilities that rounding does not reach, in nats at temperature 1.

Measured with SmolLM2-135M at temperature 1: in float32 1e-6 on the probe and 3e-6 on rollouts, in bfloat16 0.02 on
rollouts, in int8 0.2 on the probe. The wrong temperature, 0.8 for 1, is 1.1 on the probe.
"""

SUSPICIOUS = 0.25
"""The part of the tolerance from which a step's rollouts are reason enough to probe."""

TEXT = "The largest of 3, 14 and 9 is 14, because"
TEXT_TOKENS, VOCABULARY_TOKENS = 18, 8
"""Of the probe: likely tokens, and tokens from all over the vocabulary."""

TOKENS_A_PROBE = 12_800
"""Sampled tokens that pay for a probe: it costs under 1 % of them."""

KEPT = 4
"""Earlier updates that are remembered, beside the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    weights: Fingerprint
    logprobs: Float[Tensor, " n"] | None
    """None: there was no probe."""


def tolerance(compute_dtype: torch.dtype, sampling: Sampling) -> float:
    """How far engine and learner may be apart on average by rounding alone, in nats.

    Logits are what is rounded, and low temperatures magnify them.
    """
    if sampling.in_int8:
        rounding = INT8_TOLERANCE
    else:
        rounding = FLOAT32_TOLERANCE if compute_dtype in (torch.float32, torch.float64) else BFLOAT16_TOLERANCE
    return rounding / min(sampling.temperature, 1.0)


def probe_interval(tokens_per_step: int) -> int:
    """How many updates one probe is for, where a step samples up to `tokens_per_step` tokens."""
    return math.ceil(TOKENS_A_PROBE / max(tokens_per_step, 1))


class Canary:
    """Compares an engine with the model that is trained. `sampling` is the one that the run samples with.

    An update whose number is a multiple of `interval` is probed, whatever the cheaper comparisons say.
    """

    def __init__(self, model: LanguageModel, sampling: Sampling, interval: int = 1) -> None:
        self._model = model
        self._sampling = sampling
        self._interval = interval
        self._tolerance = tolerance(model.compute_dtype, sampling)
        self.probes = _probes(model)
        """One token of each is given, the others are looked at."""
        branches = [Branch(prompt=probe.prompt.token_ids, completions=[probe.token_ids]) for probe in self.probes]
        self._tree = grow_tree(branches, model.device)
        self._past: dict[int, _Past] = {}

    @torch.no_grad()
    def check(
        self, engine: RolloutEngine, version: int, rollout_mismatch: float | None = None, *, probe: bool = False
    ) -> dict[str, float]:
        """Compares what both have now, after update number `version`; returns metrics by the names of `runs.metrics`.

        Args:
            engine: What samples.
            version: The updates that its weights have seen.
            rollout_mismatch: `mismatch/mean` of the step's rollouts. None: the learner looked at none.
            probe: Whether to probe in any case.

        Raises:
            MismatchError: they differ by more than rounding; the message names the cause.
        """
        weights = fingerprint(self._model.network.state_dict())
        wrong = diagnose_weights(weights, engine.fingerprint(), self._earlier_weights(version))
        far = 0.0 if rollout_mismatch is None else rollout_mismatch / self._tolerance
        # What is not a number is suspicious, but no more: it may be the learner's, which skips such updates.
        is_suspicious = wrong is not None or not far <= SUSPICIOUS
        if not (probe or is_suspicious or version % self._interval == 0):
            self._remember(version, _Past(weights=weights, logprobs=None))
            return {}
        learner = self._logprobs()
        rows = engine.logprobs(self.probes, self._sampling)
        given = torch.tensor([value for row in rows for value in row]).to(learner)
        apart = difference(learner, given)
        mean, largest = apart.mean().item(), apart.max().item()
        if wrong is None and not mean <= self._tolerance:
            wrong = self._diagnose(given, version)
        elif wrong is None and far > 1:
            says = f"on the rollouts of the step they differ by {rollout_mismatch:.3g} nats on average"
            wrong = Diagnosis(cause=Cause.DECODING, evidence=says)
        if wrong is not None:
            raise MismatchError(self._message(wrong, version, mean, largest))
        self._remember(version, _Past(weights=weights, logprobs=learner))
        return {"mismatch/probe_mean": mean, "mismatch/probe_max": largest}

    def _diagnose(self, given: Float[Tensor, " n"], version: int) -> Diagnosis:
        return diagnose_logprobs(
            Evidence(
                tokens=self._tree.spread(self._tree.targets),
                engine=given,
                logits=self._logits(),
                temperature=self._sampling.temperature,
                tolerance=self._tolerance,
                earlier=self._earlier_logprobs(version),
                without_adapters=self._logprobs_without_adapters(),
            )
        )

    def _earlier_weights(self, version: int) -> dict[int, Fingerprint]:
        return {number: past.weights for number, past in self._past.items() if number != version}

    def _earlier_logprobs(self, version: int) -> dict[int, Float[Tensor, " n"]]:
        known = {number: past.logprobs for number, past in self._past.items() if number != version}
        return {number: logprobs for number, logprobs in known.items() if logprobs is not None}

    def _logprobs(self) -> Float[Tensor, " n"]:
        """The learner's, by the path that it learns by."""
        network, temperature = self._model.network, self._sampling.temperature
        return tree_logprobs(network, self._tree, temperature, self._model.compute_dtype)[0]

    def _logprobs_without_adapters(self) -> Float[Tensor, " n"] | None:
        network = self._model.network
        if not has_adapters(network):
            return None
        with adapters_off(network):
            return self._logprobs()

    def _logits(self) -> Float[Tensor, "n V"]:
        network, dtype = self._model.network, self._model.compute_dtype
        hidden = tree_hidden_states(network, self._tree, dtype).to(dtype)
        logits = (hidden @ head_weight(network).to(dtype).T).to(torch.promote_types(dtype, torch.float32))
        return self._tree.spread(logits)

    def _remember(self, version: int, past: _Past) -> None:
        self._past[version] = past
        for old in sorted(self._past)[1:-KEPT]:
            del self._past[old]

    def _message(self, diagnosis: Diagnosis, version: int, mean: float, largest: float) -> str:
        return (
            f"canary: after update {version} the engine samples from {diagnosis.cause}: {diagnosis.evidence}. On "
            f"{len(self._tree.occurrences)} probe tokens its log-probabilities differ from the learner's by {mean:.3g} "
            f"nats on average and {largest:.3g} at most; rounding explains {self._tolerance:.3g} on average. "
            f"{ADVICE[diagnosis.cause]}"
        )


def _probes(model: LanguageModel) -> tuple[Rollout, ...]:
    vocabulary = head_weight(model.network).shape[0]
    text = tuple(model.tokenizer(TEXT).input_ids)[:TEXT_TOKENS]
    spread = tuple((7919 * index + 11) % vocabulary for index in range(VOCABULARY_TOKENS))
    return tuple(_probe(tokens) for tokens in (text, spread) if len(tokens) > 1)


def _probe(tokens: tuple[int, ...]) -> Rollout:
    return Rollout(
        prompt=Prompt(id="canary", token_ids=tokens[:1], item={}),
        token_ids=tokens[1:],
        behaviour_logprobs=(),
        text="",
        finish_reason=FinishReason.LENGTH,
        policy_version=0,
    )
