from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from verifine.models.network.elementwise import (
    reciprocal_rms,
    rms_norm,
    rms_norm_gradients,
    rotate,
    swiglu,
    swiglu_gradient,
)

EPSILON = 1e-5


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradients(function: Callable[..., Tensor], incoming: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """What autograd says."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    return torch.autograd.grad(function(*leaves), leaves, incoming)


def plain_norm(rows: Tensor, gain: Tensor) -> Tensor:
    return gain * rows / (rows.pow(2).mean(dim=-1, keepdim=True) + EPSILON).sqrt()


def plain_rotation(heads: Tensor, angle: Tensor) -> Tensor:
    """Each pair of numbers as a complex number that is turned."""
    first, second = heads.chunk(2, dim=-1)
    turned = torch.complex(first, second) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((turned.real, turned.imag), dim=-1)


def plain_swiglu(gate_up: Tensor) -> Tensor:
    gate, up = gate_up.chunk(2, dim=-1)
    return gate / (1 + torch.exp(-gate)) * up


def test_a_norm_divides_by_the_root_mean_square() -> None:
    rows, gain = draw(5, 3, 8), draw(8, seed=1)
    found = rms_norm(rows, reciprocal_rms(rows, EPSILON), gain, torch.float64)
    torch.testing.assert_close(found, plain_norm(rows, gain))
    assert rms_norm(rows, reciprocal_rms(rows, EPSILON), gain, torch.bfloat16).dtype == torch.bfloat16


def test_a_row_of_zeros_stays_one() -> None:
    rows = torch.zeros(2, 8, dtype=torch.float64)
    reciprocal = reciprocal_rms(rows, EPSILON)
    assert not rms_norm(rows, reciprocal, torch.ones(8, dtype=torch.float64), torch.float64).any()
    assert rms_norm_gradients(draw(2, 8), rows, reciprocal, torch.ones(8, dtype=torch.float64))[0].isfinite().all()


def test_a_norms_gradients_are_those_of_autograd() -> None:
    rows, gain, incoming = draw(5, 3, 8), draw(8, seed=1), draw(5, 3, 8, seed=2)
    found = rms_norm_gradients(incoming, rows, reciprocal_rms(rows, EPSILON), gain)
    for ours, theirs in zip(found, gradients(plain_norm, incoming, rows, gain), strict=True):
        torch.testing.assert_close(ours, theirs)


def twice(cosines: Tensor) -> Tensor:
    return torch.cat((cosines, cosines), dim=-1)


def test_a_rotation_turns_pairs_and_back() -> None:
    heads, angle = draw(7, 3, 6), draw(7, 1, 3, seed=1)
    turned = rotate(heads, twice(angle.cos()), angle.sin())
    torch.testing.assert_close(turned, plain_rotation(heads, angle))
    torch.testing.assert_close(rotate(turned, twice(angle.cos()), -angle.sin()), heads)


def test_a_rotations_gradient_is_the_opposite_rotation() -> None:
    heads, angle, incoming = draw(7, 3, 6), draw(7, 1, 3, seed=1), draw(7, 3, 6, seed=2)
    (theirs,) = gradients(lambda each: plain_rotation(each, angle), incoming, heads)
    torch.testing.assert_close(rotate(incoming, twice(angle.cos()), -angle.sin()), theirs)


def test_swiglu_and_its_gradient_are_those_of_autograd() -> None:
    gate_up, incoming = draw(4, 10), draw(4, 5, seed=1)
    torch.testing.assert_close(swiglu(gate_up), plain_swiglu(gate_up))
    output, gradient = swiglu_gradient(incoming, gate_up)
    torch.testing.assert_close(output, plain_swiglu(gate_up))
    torch.testing.assert_close(gradient, gradients(plain_swiglu, incoming, gate_up)[0])
