"""Why an engine and a learner disagree: each possible explanation is tested, and the best one is named.

Pure functions. Each explanation predicts the log-probabilities that the engine would have given if it were true, and is
accepted if these fit what the engine gave. n probe tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from verifine.models.fingerprint import Fingerprint

FLOOR = -80.0
"""Lower log-probabilities count as this: float32 probabilities, which an engine draws from, are 0 below e^-87."""

BETTER = 3.0
"""By what factor an explanation must reduce the difference to be accepted."""

TOP_K = 200
"""The largest top-k that is recognised."""


class Cause(StrEnum):
    """What an engine wrongly samples from, in the words of the message."""

    OLD_WEIGHTS = "the weights of an earlier update"
    OTHER_WEIGHTS = "other weights than the learner's"
    NO_ADAPTERS = "the model without its adapters"
    TEMPERATURE = "the model at another temperature"
    TRUNCATED = "a truncated distribution"
    NOT_FINITE = "something that is not a number"
    DECODING = "something else while it decodes than when it scores given tokens"
    UNKNOWN = "another distribution than the learner's"


ADVICE = {
    Cause.OLD_WEIGHTS: "New weights do not reach the model that it samples from; check the engine's load_weights.",
    Cause.OTHER_WEIGHTS: "Give the engine the same model, and all of its weights.",
    Cause.NO_ADAPTERS: "Enable the adapters in the engine, or give it weights with the adapters merged.",
    Cause.TEMPERATURE: "Make it sample at sampling.temperature, and report log-probabilities after that is applied.",
    Cause.TRUNCATED: "Turn off top-k, top-p and min-p in the engine: the learner does not correct for them.",
    Cause.NOT_FINITE: "Resume from the last checkpoint with a lower optim.learning_rate or model.precision float32.",
    Cause.DECODING: "Its weights are right, so check its KV cache and positions, and how old the rollouts are.",
    Cause.UNKNOWN: "Compare the engine's logits, and the precision they are computed in, with those of transformers.",
}
"""How to fix each cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What is wrong, and what shows it."""

    cause: Cause
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeEvidence:
    """What is known about the probe's tokens when they differ."""

    tokens: Int[Tensor, " n"]
    engine: Float[Tensor, " n"]
    """The log-probabilities that the engine gives."""
    logits: Float[Tensor, "n V"]
    """The learner's, before they are divided by `temperature`."""
    temperature: float
    tolerance: float
    """The mean difference that rounding explains, in nats."""
    earlier: Mapping[int, Float[Tensor, " n"]]
    """The learner's log-probabilities after earlier updates."""
    without_adapters: Float[Tensor, " n"] | None
    """The log-probabilities of the learner's model without its adapters. None: it has no adapters."""

    def learner(self, temperature: float | None = None) -> Float[Tensor, " n"]:
        """The learner's log-probabilities, at `temperature` instead of its own if that is given."""
        logits = self.logits / (self.temperature if temperature is None else temperature)
        return logits.gather(1, self.tokens[:, None]).squeeze(1) - logits.logsumexp(dim=1)


def difference(one: Float[Tensor, " n"], other: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """The absolute difference of each log-probability."""
    return (one.clamp(min=FLOOR) - other.clamp(min=FLOOR)).abs()


def diagnose_weights(learner: Fingerprint, engine: Fingerprint, earlier: Mapping[int, Fingerprint]) -> Diagnosis | None:
    """What the fingerprints show. None: they are equal."""
    names = learner.differing(engine)
    if not names:
        return None
    version = next((version for version, past in earlier.items() if not past.differing(engine)), None)
    if version is not None:
        return Diagnosis(cause=Cause.OLD_WEIGHTS, evidence=f"its fingerprint is that of update {version}")
    adapters = [name for name in learner.missing(engine) if ".lora_" in name]
    # A layer with an adapter names its own weight `base_layer.weight`, a layer without one names it `weight`.
    if adapters and all(".lora_" in name or ".base_layer." in name for name in names):
        return Diagnosis(cause=Cause.NO_ADAPTERS, evidence=f"it does not have {_some(adapters)}")
    return Diagnosis(cause=Cause.OTHER_WEIGHTS, evidence=f"the fingerprints differ in {_some(names)}")


def diagnose_logprobs(evidence: ProbeEvidence) -> Diagnosis:
    """The best explanation of log-probabilities that differ by more than rounding."""
    engine = evidence.engine
    for source, values in (("learner's", evidence.logits), ("engine's", engine)):
        if values.isnan().any():
            return Diagnosis(cause=Cause.NOT_FINITE, evidence=f"some of the {source} log-probabilities are NaN")
    cut = engine.isneginf() & (evidence.learner() > FLOOR)
    enough = min(evidence.tolerance, _left(evidence, evidence.learner()) / BETTER)
    # Of explanations that fit equally well, the first is the likeliest one.
    found = [
        (left, diagnosis)
        for explain in (_without_adapters, _earlier, _temperature, _truncation)
        for left, diagnosis in explain(evidence)
        if left <= enough
    ]
    if found:
        return min(found, key=lambda pair: pair[0])[1]
    if cut.any():
        return Diagnosis(
            cause=Cause.TRUNCATED, evidence=f"it gives {int(cut.sum())} of {len(cut)} tokens no probability at all"
        )
    return Diagnosis(cause=Cause.UNKNOWN, evidence="no temperature, truncation or earlier update explains it")


_Explained = Iterator[tuple[float, Diagnosis]]
"""For each way in which an explanation could be true: the mean difference that it leaves."""


def _left(evidence: ProbeEvidence, explained: Float[Tensor, " n"]) -> float:
    return difference(explained, evidence.engine).mean().item()


def _without_adapters(evidence: ProbeEvidence) -> _Explained:
    if evidence.without_adapters is not None:
        says = "its log-probabilities are those of the model without adapters"
        yield _left(evidence, evidence.without_adapters), Diagnosis(cause=Cause.NO_ADAPTERS, evidence=says)


def _earlier(evidence: ProbeEvidence) -> _Explained:
    for version, logprobs in evidence.earlier.items():
        says = f"its log-probabilities are those after update {version}"
        yield _left(evidence, logprobs), Diagnosis(cause=Cause.OLD_WEIGHTS, evidence=says)


def _temperature(evidence: ProbeEvidence) -> _Explained:
    fitted = fit_temperature(evidence)
    says = f"its log-probabilities fit temperature {fitted:.3g}, and the learner's is {evidence.temperature:.3g}"
    yield _left(evidence, evidence.learner(fitted)), Diagnosis(cause=Cause.TEMPERATURE, evidence=says)


def fit_temperature(evidence: ProbeEvidence) -> float:
    """The temperature at which the learner's log-probabilities are closest to the engine's."""

    def left(temperature: float) -> float:
        return _left(evidence, evidence.learner(temperature))

    best = min((evidence.temperature * 2 ** (step / 8) for step in range(-32, 33)), key=left)
    low, high = best * 2 ** (-1 / 8), best * 2 ** (1 / 8)
    for _ in range(30):
        third = (high - low) / 3
        low, high = (low, high - third) if left(low + third) < left(high - third) else (low + third, high)
    return (low + high) / 2


def _truncation(evidence: ProbeEvidence) -> _Explained:
    probabilities = torch.softmax(evidence.logits / evidence.temperature, dim=1)
    own = probabilities.gather(1, evidence.tokens[:, None])
    rank = (probabilities > own).sum(dim=1)
    mass = probabilities.sort(dim=1, descending=True).values.cumsum(dim=1)
    learner = evidence.learner()

    def left(kept: Int[Tensor, " n"]) -> float:
        """The difference that is left if at each position only the `kept` likeliest tokens can be drawn."""
        shared = learner - mass.gather(1, kept[:, None] - 1).squeeze(1).log()
        return _left(evidence, shared.masked_fill(rank >= kept, float("-inf")))

    yield _best("top-k", range(1, min(TOP_K, mass.shape[1] - 1) + 1), lambda k: left(torch.full_like(rank, int(k))))
    # The smallest set of tokens that reaches the mass p.
    shares = [step / 100 for step in range(1, 100)]
    yield _best("top-p", shares, lambda p: left((mass < p).sum(dim=1).clamp(max=mass.shape[1] - 1) + 1))


def _best(name: str, values: Sequence[float], left: Callable[[float], float]) -> tuple[float, Diagnosis]:
    remaining, value = min((left(value), value) for value in values)
    says = (
        f"its log-probabilities fit {name} {value:g} best: the tokens that are kept share the probability of the others"
    )
    return remaining, Diagnosis(cause=Cause.TRUNCATED, evidence=says)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 2} more tensors" if len(names) > 2 else ""
    return ", ".join(names[:2]) + more
