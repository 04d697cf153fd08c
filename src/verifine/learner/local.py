"""The learner of one process: packed trees, AdamW, and no work for groups that cannot move the weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from verifine.algorithms.kl import k3
from verifine.algorithms.recipes import Loss
from verifine.batch import Batch, Estimates
from verifine.learner.learner import UpdateOutcome, UpdateReport
from verifine.learner.optim import OptimSettings, learning_rate, make_optimizer
from verifine.learner.packing import MicroBatch, pack
from verifine.models.forward import tree_logprobs
from verifine.models.load import LanguageModel, Weights


@dataclass(frozen=True, slots=True, kw_only=True)
class _Objective:
    """The loss of one update, on the whole token axis, and what its parts turned out to be."""

    loss: Loss
    weights: Float[Tensor, " N"]
    advantages: Float[Tensor, " N"]
    behaviour_logprobs: Float[Tensor, " N"]
    old_logprobs: Float[Tensor, " N"] | None
    reference_logprobs: Float[Tensor, " N"] | None
    tally: _Tally

    def evaluate(self, micro: MicroBatch, logprobs: Float[Tensor, " n"], entropy: Float[Tensor, " n"]) -> Tensor:
        """The part of the loss that is on a micro-batch's tokens."""
        at = micro.index
        old = logprobs.detach() if self.old_logprobs is None else self.old_logprobs[at]
        reference = None if self.reference_logprobs is None else self.reference_logprobs[at]
        weighted = self.weights[at] * self.loss.terms(logprobs, old, self.advantages[at], reference)
        with torch.no_grad():
            ratio, advantages = torch.exp(logprobs - old), self.advantages[at]
            held_low = ((ratio < 1 - self.loss.clip_low) & (advantages < 0)).float()
            held_high = ((ratio > 1 + self.loss.clip_high) & (advantages > 0)).float()
            self.tally.loss += weighted.sum().item()
            self.tally.add("entropy", entropy)
            self.tally.add("mismatch/mean", (logprobs - self.behaviour_logprobs[at]).abs(), highest="mismatch/max")
            self.tally.add("ratio/mean", ratio, highest="ratio/max")
            self.tally.add("clip_ratio/low_mean", held_low)
            self.tally.add("clip_ratio/high_mean", held_high)
            self.tally.add("clip_ratio/region_mean", held_low + held_high)
            if reference is not None:
                self.tally.add("kl", k3(logprobs, reference))
        return weighted.sum()


@dataclass(slots=True, kw_only=True)
class _Tally:
    """Means and maxima over the tokens of an update, gathered a micro-batch at a time."""

    loss: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    highest: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, values: Float[Tensor, " n"], highest: str | None = None) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + values.sum().item()
        self.counts[name] = self.counts.get(name, 0) + len(values)
        if highest is not None:
            self.highest[highest] = max(self.highest.get(highest, 0.0), values.max().item())

    def metrics(self) -> dict[str, float]:
        means = {name: total / self.counts[name] for name, total in self.sums.items()}
        return {"loss": self.loss, **means, **self.highest}


class LocalLearner:
    """Updates a model's own weights in place.

    `temperature` is the one that the engine samples at: old and new log-probabilities are of the same distribution.
    `reference` is a frozen copy of the starting model for the KL penalty, None without one.
    """

    def __init__(
        self,
        model: LanguageModel,
        settings: OptimSettings,
        temperature: float,
        reference: LanguageModel | None = None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._temperature = temperature
        self._reference = reference
        self._parameters = [parameter for parameter in model.network.parameters() if parameter.requires_grad]
        self._optimizer = make_optimizer(self._parameters, settings)
        self._updates = 0

    def weights(self) -> Weights:
        weights: Weights = self._model.network.state_dict(keep_vars=True)
        return weights

    @torch.no_grad()
    def estimate(self, batch: Batch) -> Estimates:
        """The reference's log-probabilities. The old ones are the update's own: see `Estimates`."""
        if self._reference is None:
            return Estimates(old_logprobs=None, reference_logprobs=None)
        reference_logprobs = torch.zeros(len(batch.tokens), device=self._model.device)
        for micro in self._pack(batch, torch.ones(len(batch.groups), dtype=torch.bool)):
            reference_logprobs[micro.index] = self._read(self._reference, micro)[0]
        return Estimates(old_logprobs=None, reference_logprobs=reference_logprobs)

    def update(self, batch: Batch, estimates: Estimates, advantages: Float[Tensor, " N"], loss: Loss) -> UpdateReport:
        device = self._model.device
        objective = _Objective(
            loss=loss,
            weights=loss.weights(batch.row).to(device),
            advantages=advantages.to(device),
            behaviour_logprobs=batch.behaviour_logprobs.to(device),
            old_logprobs=estimates.old_logprobs,
            reference_logprobs=estimates.reference_logprobs,
            tally=_Tally(),
        )
        rate = {"learning_rate": learning_rate(self._settings, self._updates)}
        micro_batches = self._pack(batch, movable_groups(batch, advantages, loss))
        if not micro_batches:
            return UpdateReport(outcome=UpdateOutcome.NO_SIGNAL, metrics={"update_skipped": 1.0, **rate})
        for micro in micro_batches:
            objective.evaluate(micro, *self._read(self._model, micro)).backward()
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.max_grad_norm)
        finite = bool(torch.isfinite(norm))
        if finite:
            self._step(rate["learning_rate"])
        # Kept and zeroed rather than let go: fresh memory for every gradient costs more than the zeros.
        self._optimizer.zero_grad(set_to_none=False)
        return UpdateReport(
            outcome=UpdateOutcome.APPLIED if finite else UpdateOutcome.NOT_FINITE,
            metrics={
                **objective.tally.metrics(),
                "grad_norm": norm.item(),
                "update_skipped": float(not finite),
                **rate,
            },
        )

    def _step(self, rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._updates += 1

    def _pack(self, batch: Batch, wanted: Bool[Tensor, " P"]) -> list[MicroBatch]:
        return pack(batch, wanted, self._settings.micro_batch_tokens, self._model.device)

    def _read(self, model: LanguageModel, micro: MicroBatch) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        return tree_logprobs(model.network, micro.tree, self._temperature, model.compute_dtype)


def movable_groups(batch: Batch, advantages: Float[Tensor, " N"], loss: Loss) -> Bool[Tensor, " P"]:
    """The groups whose tokens have a gradient: all of them with a KL penalty, else those with an advantage."""
    groups, size = batch.valid.shape
    moves = torch.ones_like(advantages) if loss.beta else (advantages != 0).float()
    return torch.zeros(groups).index_add_(0, batch.row // size, moves) > 0
