"""What a decoder layer does between its matrix products, with its gradients: pure functions of tensors.

Axes: T tokens, H hidden size, Hq query heads, Hk key-value heads, D head size, I intermediate size. Everything is
computed in float32, or in float64 where that is given, and rounded once at the end.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor


def reciprocal_rms(rows: Float[Tensor, "*T H"], epsilon: float) -> Float[Tensor, "*T 1"]:
    """1 / sqrt(mean of squares + epsilon) of each row (RMSNorm, arXiv:1910.07467)."""
    norms: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    added = _constant(epsilon, norms.dtype, norms.device)
    return torch.addcmul(added, norms, norms, value=1 / rows.shape[-1]).rsqrt_()


@cache
def _constant(number: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor that is made once, as every layer of every step needs it."""
    return torch.tensor(number, dtype=dtype, device=device)


def rms_norm(
    rows: Float[Tensor, "*T H"], reciprocal: Float[Tensor, "*T 1"], gain: Float[Tensor, " H"], dtype: torch.dtype
) -> Float[Tensor, "*T H"]:
    """Gain * rows / rms, in `dtype`."""
    return (rows * reciprocal).mul_(gain).to(dtype)


def rms_norm_gradients(
    incoming: Float[Tensor, "*T H"],
    rows: Float[Tensor, "*T H"],
    reciprocal: Float[Tensor, "*T 1"],
    gain: Float[Tensor, " H"],
) -> tuple[Float[Tensor, "*T H"], Float[Tensor, " H"]]:
    """The gradients of the rows and of the gain.

    With n = rows / rms: d rows = (gain * d - n mean(gain * d * n)) / rms, d gain = sum of d * n.
    """
    normalised = rows * reciprocal
    incoming = incoming.to(normalised.dtype)
    along = incoming * normalised
    grad_gain = along.reshape(-1, along.shape[-1]).sum(dim=0)
    projection = (along @ gain).unsqueeze(-1).div_(-rows.shape[-1])
    grad_rows = torch.addcmul(incoming * gain, normalised, projection).mul_(reciprocal)
    return grad_rows, grad_gain


def rotate(
    heads: Float[Tensor, "T heads D"], cos: Float[Tensor, "T 1 D"], sin: Float[Tensor, "T 1 D/2"]
) -> Float[Tensor, "T heads D"]:
    """Turns the pair (d, d + D/2) of each head by the angle of its position (RoPE, arXiv:2104.09864).

    `cos` has each cosine twice, as both of a pair are multiplied by it. Turning by the opposite angle,
    `rotate(gradient, cos, -sin)`, is its gradient.
    """
    exact = heads.to(cos.dtype)
    turned = exact * cos
    half = sin.shape[-1]
    turned[..., :half].addcmul_(exact[..., half:], sin, value=-1)
    turned[..., half:].addcmul_(exact[..., :half], sin)
    return turned


def swiglu(gate_up: Float[Tensor, "T 2*I"]) -> Float[Tensor, "T I"]:
    """silu(gate) * up (SwiGLU, arXiv:2002.05202)."""
    gate, up = gate_up.chunk(2, dim=-1)
    return torch.nn.functional.silu(gate).mul_(up)


def swiglu_gradient(
    incoming: Float[Tensor, "T I"], gate_up: Float[Tensor, "T 2*I"]
) -> tuple[Float[Tensor, "T I"], Float[Tensor, "T 2*I"]]:
    """The output again, and the gradient of its input."""
    gate, up = gate_up.chunk(2, dim=-1)
    activated = torch.nn.functional.silu(gate)
    gradient = torch.empty_like(gate_up)
    grad_gate, grad_up = gradient.chunk(2, dim=-1)
    torch.mul(incoming, activated, out=grad_up)
    torch.mul(incoming, up, out=grad_gate)
    grad_gate.copy_(torch.ops.aten.silu_backward(grad_gate, gate))
    return activated.mul_(up), gradient
