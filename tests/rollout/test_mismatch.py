from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from verifine.models.fingerprint import Fingerprint
from verifine.rollout.mismatch import (
    ADVICE,
    Cause,
    Diagnosis,
    ProbeEvidence,
    diagnose_logprobs,
    diagnose_weights,
    difference,
    fit_temperature,
)

# Three tokens: the likeliest, the third and the second of the same four.
PROBABILITIES = torch.tensor([[0.5, 0.25, 0.15, 0.1]] * 3)
TOKENS = torch.tensor([0, 2, 1])


def evidence(engine: Sequence[float], temperature: float = 1.0) -> ProbeEvidence:
    """Of an engine that gives the tokens these probabilities, where the learner gives 0.5, 0.15 and 0.25."""
    return ProbeEvidence(
        tokens=TOKENS,
        engine=torch.tensor(engine).log(),
        logits=PROBABILITIES.log() * temperature,
        temperature=temperature,
        tolerance=1e-3,
        earlier={},
        without_adapters=None,
    )


def test_the_learners_logprobs_are_at_its_temperature() -> None:
    assert evidence([0.5, 0.15, 0.25], temperature=0.5).learner().exp().tolist() == pytest.approx([0.5, 0.15, 0.25])
    # At half the temperature probabilities are squared: 0.25, 0.0225 and 0.0625 of 0.345.
    squared = evidence([0.5, 0.15, 0.25], temperature=2.0).learner(1.0).exp()
    assert squared.tolist() == pytest.approx([0.25 / 0.345, 0.0225 / 0.345, 0.0625 / 0.345])


def test_another_temperature_is_named_with_the_one_that_fits() -> None:
    found = diagnose_logprobs(evidence([0.25 / 0.345, 0.0225 / 0.345, 0.0625 / 0.345], temperature=0.8))
    assert found == Diagnosis(
        cause=Cause.TEMPERATURE, evidence="its log-probabilities fit temperature 0.4, and the learner's is 0.8"
    )


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ([1.0, 0.0, 0.0], "fit top-k 1 best:"),
        ([0.5 / 0.75, 0.0, 0.25 / 0.75], "fit top-k 2 best:"),
        # Nothing that is looked at was cut, but all of it has been raised alike.
        ([0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9], "fit top-k 3 best:"),
    ],
)
def test_a_truncation_is_named_with_its_size(engine: list[float], says: str) -> None:
    found = diagnose_logprobs(evidence(engine))
    assert found.cause is Cause.TRUNCATED
    assert says in found.evidence


def test_a_nucleus_is_told_from_a_fixed_number_of_tokens() -> None:
    # top-p 0.7 keeps two tokens of the first distribution, and one of the second.
    wide, narrow = [0.5, 0.25, 0.15, 0.1], [0.8, 0.1, 0.06, 0.04]
    made = replace(
        evidence([0.5 / 0.75, 0.0, 1.0]),
        logits=torch.tensor([wide, wide, narrow]).log(),
        tokens=torch.tensor([0, 2, 0]),
    )
    found = diagnose_logprobs(made)
    assert found.cause is Cause.TRUNCATED
    # Any share above 0.5 and up to 0.75 does the same; the smallest of them is said.
    assert "fit top-p 0.51 best:" in found.evidence


def test_what_cannot_be_drawn_is_a_truncation_whatever_its_form() -> None:
    found = diagnose_logprobs(evidence([0.9, 0.0, 0.01]))
    assert found == Diagnosis(cause=Cause.TRUNCATED, evidence="it gives 1 of 3 tokens no probability at all")


def test_an_earlier_update_and_the_model_without_adapters_are_recognised() -> None:
    engine = [0.3, 0.4, 0.1]
    logprobs = torch.tensor(engine).log()
    stale = replace(evidence(engine), earlier={2: logprobs - 1, 3: logprobs})
    assert diagnose_logprobs(stale) == Diagnosis(
        cause=Cause.OLD_WEIGHTS, evidence="its log-probabilities are those after update 3"
    )
    assert diagnose_logprobs(replace(evidence(engine), without_adapters=logprobs)).cause is Cause.NO_ADAPTERS


def test_what_nothing_explains_is_said_to_be_unexplained() -> None:
    assert diagnose_logprobs(evidence([0.1, 0.5, 0.9])).cause is Cause.UNKNOWN


def test_an_explanation_has_to_explain_most_of_it() -> None:
    # A little above the tolerance: an earlier update that fits hardly better is no explanation.
    engine = torch.tensor([0.5, 0.15, 0.25]).log() + torch.tensor([0.0012, -0.0012, 0.0012])
    made = replace(evidence([1.0, 1.0, 1.0]), engine=engine, earlier={1: engine + 0.0009})
    assert diagnose_logprobs(made).cause is Cause.UNKNOWN


@pytest.mark.parametrize("whose", ["engine", "learner"])
def test_what_is_not_a_number_is_named_with_whose_it_is(whose: str) -> None:
    made = evidence([float("nan") if whose == "engine" else 0.5, 0.15, 0.25])
    if whose == "learner":
        made = replace(made, logits=made.logits * float("nan"))
    found = diagnose_logprobs(made)
    assert found.cause is Cause.NOT_FINITE
    assert f"{whose}'s" in found.evidence


def test_probabilities_below_what_float32_can_hold_are_equal() -> None:
    never, hardly = torch.tensor([float("-inf"), -1.0]), torch.tensor([-250.0, -1.5])
    assert difference(never, hardly).tolist() == [0.0, 0.5]


WEIGHTS = Fingerprint(digests={"a": 1, "b": 2, "c": 3})


def changed(**digests: int) -> Fingerprint:
    return Fingerprint(digests={**WEIGHTS.digests, **digests})


def test_equal_weights_are_not_diagnosed() -> None:
    assert diagnose_weights(WEIGHTS, WEIGHTS, {0: changed(a=7)}) is None
    assert diagnose_weights(WEIGHTS, changed(more=7), {}) is None, "an engine may have tensors of its own"


def test_weights_are_stale_where_they_are_those_of_an_earlier_update() -> None:
    past = {3: changed(a=7), 4: changed(a=8)}
    assert diagnose_weights(WEIGHTS, changed(a=8), past) == Diagnosis(
        cause=Cause.OLD_WEIGHTS, evidence="its fingerprint is that of update 4"
    )


def test_other_weights_are_named() -> None:
    found = diagnose_weights(WEIGHTS, changed(a=7, b=7, c=7), {1: changed(a=8)})
    assert found == Diagnosis(cause=Cause.OTHER_WEIGHTS, evidence="the fingerprints differ in a, b and 1 more tensors")


def test_adapters_that_the_engine_does_not_have_are_missed() -> None:
    own = changed(**{"x.lora_A.default.weight": 4, "x.lora_B.default.weight": 5})
    found = diagnose_weights(own, WEIGHTS, {})
    assert found is not None
    assert found.cause is Cause.NO_ADAPTERS
    other = diagnose_weights(own, changed(a=7), {})
    assert other is not None
    assert other.cause is Cause.OTHER_WEIGHTS


def test_every_cause_comes_with_advice() -> None:
    assert ADVICE.keys() == set(Cause)


VOCABULARY = 60


def random_evidence(seed: int, temperature: float, distort: Callable[[Tensor], Tensor]) -> ProbeEvidence:
    """Tokens drawn from an undecided model, and an engine that makes of its logits what `distort` says."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(24, VOCABULARY, generator=generator)
    tokens = torch.multinomial(logits.softmax(dim=1), 1, generator=generator)
    engine = distort(logits / temperature).log_softmax(dim=1).gather(1, tokens).squeeze(1)
    noise = 1e-4 * torch.randn(24, generator=generator)
    return ProbeEvidence(
        tokens=tokens.squeeze(1),
        engine=engine + noise,
        logits=logits,
        temperature=temperature,
        tolerance=1e-3,
        earlier={},
        without_adapters=None,
    )


SEEDS, TEMPERATURES = st.integers(0, 10_000), st.sampled_from([0.6, 1.0, 1.3])


@settings(max_examples=30)
@given(seed=SEEDS, temperature=TEMPERATURES, factor=st.floats(0.3, 3).filter(lambda f: abs(math.log(f)) > 0.05))
def test_any_temperature_is_found(seed: int, temperature: float, factor: float) -> None:
    made = random_evidence(seed, temperature, lambda logits: logits / factor)
    assert diagnose_logprobs(made).cause is Cause.TEMPERATURE
    assert fit_temperature(made) == pytest.approx(temperature * factor, rel=0.01)


@settings(max_examples=30)
@given(seed=SEEDS, temperature=TEMPERATURES, k=st.integers(1, 20))
def test_any_top_k_is_found(seed: int, temperature: float, k: int) -> None:
    def cut(logits: Tensor) -> Tensor:
        return logits.masked_fill(logits < logits.topk(k).values[:, -1:], float("-inf"))

    found = diagnose_logprobs(random_evidence(seed, temperature, cut))
    assert found.cause is Cause.TRUNCATED
    assert f"fit top-k {k} best:" in found.evidence
