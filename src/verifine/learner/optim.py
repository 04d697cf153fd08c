"""The optimiser, its learning rate and its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import increment_version
from torch.nn import Parameter

from verifine.errors import CheckpointError

_MOMENTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW keeps for each parameter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimSettings:
    """AdamW, its warm-up, and the memory knob of the learner."""

    learning_rate: float
    warmup_steps: int
    betas: tuple[float, float]
    weight_decay: float
    max_grad_norm: float
    micro_batch_tokens: int


class Optimizer:
    """AdamW in one fused pass over named parameters, with a warm-up and a limit to the gradient's norm."""

    def __init__(self, parameters: Mapping[str, Parameter], settings: OptimSettings) -> None:
        self._parameters = dict(parameters)
        self._settings = settings
        for parameter in self._parameters.values():
            parameter.grad = torch.zeros_like(parameter)  # see `clear`
        self._adamw = torch.optim.AdamW(
            self._parameters.values(),
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def limit_gradient(self) -> float:
        """Scales the gradient down to the largest norm allowed, and returns the norm that it had."""
        return torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._settings.max_grad_norm).item()

    def step(self, updates: int, rate_factor: float = 1.0) -> None:
        """Updates the weights with so much of the learning rate; `updates` is how often that was done before."""
        for group in self._adamw.param_groups:
            group["lr"] = rate_factor * learning_rate(self._settings, updates)
        self._adamw.step()
        # The fused kernel does not count its changes, by which copies of the weights know that they are old.
        increment_version(self._parameters.values())

    def clear(self) -> None:
        """Sets gradients to 0 and keeps their memory, since allocating it for every update costs more than zeroing.

        The gradients of the embedding and the vocabulary head are so large that they are only added to in place.
        """
        self._adamw.zero_grad(set_to_none=False)

    def state(self) -> dict[str, Tensor]:
        """The weights and AdamW's moments, which there are only after the first update."""
        tensors = {f"weights/{name}": parameter.detach() for name, parameter in self._parameters.items()}
        for name, parameter in self._parameters.items():
            for moment, value in self._adamw.state[parameter].items():
                tensors[f"{moment}/{name}"] = value
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores what `state` returned.

        Raises:
            CheckpointError: the state is that of other weights.
        """
        wanted = {f"weights/{name}": parameter.shape for name, parameter in self._parameters.items()}
        found = {name: tensor.shape for name, tensor in tensors.items() if name.startswith("weights/")}
        if wanted != found:
            differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
            raise CheckpointError(
                f"the saved state is of another model: {len(differing)} tensors differ, the first is {differing[0]}. "
                "Resume with the model, the LoRA settings and the algorithm that the run began with."
            )
        for name, parameter in self._parameters.items():
            with torch.no_grad():  # not through `.data`, which hides the change from copies of the weights
                parameter.copy_(tensors[f"weights/{name}"])
            moments = {moment: tensors.get(f"{moment}/{name}") for moment in _MOMENTS}
            self._adamw.state[parameter] = {
                moment: value.to(parameter.device, copy=True) for moment, value in moments.items() if value is not None
            }


def learning_rate(settings: OptimSettings, updates: int) -> float:
    """The learning rate after `updates` updates: a linear warm-up, then constant."""
    return settings.learning_rate * min(1.0, (updates + 1) / max(settings.warmup_steps, 1))
