from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from verifine.algorithms import k1, k2, k3

ONE = torch.zeros(1, dtype=torch.float64)


def test_estimators_have_the_worked_values_at_minus_one() -> None:
    logprobs, reference = ONE - 1, ONE
    assert k1(logprobs, reference).item() == -1
    assert k2(logprobs, reference).item() == 0.5
    torch.testing.assert_close(k3(logprobs, reference), ONE + 0.7182818284590451)


@given(st.floats(-20, 20))
def test_k3_is_never_negative(difference: float) -> None:
    assert k3(ONE + difference, ONE).item() >= 0


@given(st.floats(1e-4, 1e-2), st.sampled_from([-1, 1]))
def test_k2_and_k3_agree_to_second_order(size: float, sign: int) -> None:
    difference = size * sign
    gap = (k2(ONE + difference, ONE) - k3(ONE + difference, ONE)).abs().item()
    assert gap <= size**3


def test_k3_is_the_divergence_on_average() -> None:
    policy = torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    reference = torch.tensor([0.3, 0.3, 0.4], dtype=torch.float64)
    divergence = (policy * (policy / reference).log()).sum()
    for estimator in (k1, k3):
        torch.testing.assert_close((policy * estimator(policy.log(), reference.log())).sum(), divergence)
