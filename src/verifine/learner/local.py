"""The learner of one process: packed trees, AdamW, and no work for groups that cannot move the weights."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from verifine.algorithms.loss import Loss
from verifine.batch import Batch, Estimates
from verifine.errors import CheckpointError, TrainingError
from verifine.learner.critic import Critic
from verifine.learner.learner import LearnerState, TokenStatistics, TrainingBatch, UpdateOutcome, UpdateReport
from verifine.learner.metric_sums import MetricSums
from verifine.learner.micro_batch_limit import MicroBatchLimit
from verifine.learner.objective import ForwardOutput, Objective
from verifine.learner.optim import Optimizer, OptimSettings, learning_rate
from verifine.learner.packing import MicroBatch, longest_rollout, pack
from verifine.learner.reference import Reference
from verifine.models.load import LanguageModel, Weights
from verifine.models.memory.oom import OomCounter, OomRetry, raise_if_out_of_memory
from verifine.models.network.forward import predicted_logprobs, tree_hidden_states

_NO_ROOM_FOR_MOMENTS = (
    "out of memory: AdamW's moments do not fit beside the weights and their gradients. Train "
    "adapters alone (model.lora: {}), or take a smaller model (model.name)."
)


class LocalLearner:
    """Updates a model's own weights in place. Where memory runs out, a batch is read in smaller parts from then on.

    `temperature` is the one that the engine samples at: old and new log-probabilities are of the same distribution.
    `estimates_old` is set where a batch is used more than once or advantages need old log-probabilities; else these are
    the update's own. `oom_counter` may be shared with others that use the same memory.
    """

    def __init__(
        self,
        model: LanguageModel,
        settings: OptimSettings,
        temperature: float,
        *,
        reference: Reference | None = None,
        critic: Critic | None = None,
        estimates_old: bool = False,
        entropy_min_p: float = 0.0,
        recompute: bool = False,
        oom_counter: OomCounter | None = None,
    ) -> None:
        self._model = model
        self._settings = settings
        self._temperature = temperature
        self._reference = reference
        self._critic = critic
        self._estimates_old = estimates_old
        self._entropy_min_p = entropy_min_p
        self._oom_counter = OomCounter() if oom_counter is None else oom_counter
        self._retry = OomRetry(
            MicroBatchLimit(tokens=settings.micro_batch_tokens, recompute=recompute), self._oom_counter
        )
        parameters = {name: each for name, each in model.network.named_parameters() if each.requires_grad}
        self._optimizers = {"policy": Optimizer(parameters, settings)}
        if critic is not None:
            self._optimizers["critic"] = Optimizer(critic.parameters(), critic.settings)
        own = None if critic is None else critic.network
        for network in (model.network,) if own is None else (model.network, own):
            # The gradient then has only the rows that were looked up, and not all rows of the vocabulary.
            network.get_input_embeddings().sparse = True
        self._updates = 0

    def weights(self) -> Weights:
        weights: Weights = self._model.network.state_dict(keep_vars=True)
        return weights

    def state(self) -> LearnerState:
        tensors = {
            f"{owner}/{name}": tensor
            for owner, optimizer in self._optimizers.items()
            for name, tensor in optimizer.state().items()
        }
        return LearnerState(tensors=tensors, updates=self._updates, limit=self._retry.size)

    def restore(self, state: LearnerState) -> None:
        owners = {name.partition("/")[0] for name in state.tensors}
        if owners != self._optimizers.keys():
            saved, wanted = (" and ".join(sorted(each)) for each in (owners, self._optimizers.keys()))
            raise CheckpointError(
                f"the saved state is of {saved}, but this run trains {wanted}; resume with the "
                "algorithm that the run began with"
            )
        for owner, optimizer in self._optimizers.items():
            prefix = f"{owner}/"
            own = {key.removeprefix(prefix): value for key, value in state.tensors.items() if key.startswith(prefix)}
            optimizer.restore(own)
        self._updates = state.updates
        self._retry.size = self._retry.size if state.limit is None else state.limit

    @torch.no_grad()
    def estimate(self, batch: Batch) -> Estimates:
        self._check_tokens(batch)
        everything = torch.ones(len(batch.groups), dtype=torch.bool)
        return self._retry.run(
            lambda limit: self._estimate(batch, everything, limit),
            lambda limit: self._smaller(batch, everything, limit),
        )

    def _estimate(self, batch: Batch, everything: Bool[Tensor, " P"], limit: MicroBatchLimit) -> Estimates:
        blank = torch.zeros(len(batch.tokens), dtype=self._dtype, device=self._model.device)
        old = blank.clone() if self._estimates_old else None
        values = None if self._critic is None else blank.clone()
        reference = None if self._reference is None else blank.clone()
        is_asked = old is not None or values is not None or reference is not None
        for micro in self._pack(batch, everything, limit) if is_asked else []:
            hidden = self._hidden(micro) if old is not None or self._shares_trunk else None
            if old is not None and hidden is not None:
                old[micro.index] = self._logprobs(hidden, micro)[0]
            if values is not None and self._critic is not None:
                values[micro.index] = self._critic.values(micro.tree, hidden)
            if reference is not None and self._reference is not None:
                reference[micro.index] = self._reference.logprobs(micro.tree, self._temperature)
        # Advantages are computed where the batch is; an update moves what it needs.
        return Estimates(old_logprobs=old, reference_logprobs=reference, values=values).to(batch.row.device)

    def update(self, training_batch: TrainingBatch, loss: Loss, rate_factor: float = 1.0) -> UpdateReport:
        self._check_tokens(training_batch.batch)
        rate = {"learning_rate": rate_factor * learning_rate(self._settings, self._updates)}
        wanted = movable_groups(training_batch, loss)
        if not wanted.any():
            return UpdateReport(outcome=UpdateOutcome.NO_SIGNAL, gauges=rate)
        sums, tokens = self._retry.run(
            lambda limit: self._add_gradients(training_batch, loss, wanted, limit),
            lambda limit: self._smaller(training_batch.batch, wanted, limit),
        )
        with raise_if_out_of_memory(TrainingError(_NO_ROOM_FOR_MOMENTS)):
            norms = {owner: optimizer.limit_gradient() for owner, optimizer in self._optimizers.items()}
            is_finite = math.isfinite(sums.totals["loss"]) and all(map(math.isfinite, norms.values()))
            if is_finite:
                for optimizer in self._optimizers.values():
                    optimizer.step(self._updates, rate_factor)
                self._updates += 1
        self._clear_gradients()
        return UpdateReport(
            outcome=UpdateOutcome.APPLIED if is_finite else UpdateOutcome.NOT_FINITE,
            sums=sums,
            gauges={
                **rate,
                "grad_norm": norms["policy"],
                **({"critic/grad_norm": norms["critic"]} if "critic" in norms else {}),
                "memory/micro_batch_tokens": float(self._retry.size.tokens),
                "memory/shortages": float(self._oom_counter.count),
            },
            tokens=tokens,
        )

    def _add_gradients(
        self, training_batch: TrainingBatch, loss: Loss, wanted: Bool[Tensor, " P"], limit: MicroBatchLimit
    ) -> tuple[MetricSums, TokenStatistics]:
        """Adds the gradients of the whole training batch to the parameters, and returns what was found meanwhile."""
        objective = Objective.of(training_batch, loss, self._model.device, self._dtype)
        for micro in self._pack(training_batch.batch, wanted, limit):
            objective.evaluate(micro.index, self._forward(micro, recompute=limit.recompute)).backward()
        return objective.metrics.read(), objective.token_statistics()

    def _check_tokens(self, batch: Batch) -> None:
        unknown = self._model.vocabulary.lacks(batch.tokens).nonzero().flatten()
        if len(unknown) > 0:
            first = int(unknown[0])
            prompt = batch.groups[int(batch.row[first]) // batch.group_size].prompt
            raise TrainingError(
                f"an answer to prompt {prompt.id} contains the id {int(batch.tokens[first])}, and no token of "
                f"{self._model.name} has that id. The rollout engine must sample only ids that the tokenizer has."
            )

    def _smaller(self, batch: Batch, wanted: Bool[Tensor, " P"], limit: MicroBatchLimit) -> MicroBatchLimit:
        """The next smaller limit after memory ran out; the gradients so far are incomplete and cleared."""
        self._clear_gradients()
        largest = self._pack(batch, wanted, limit)[0].tokens
        return limit.smaller(largest, longest_rollout(batch, wanted))

    def _clear_gradients(self) -> None:
        for optimizer in self._optimizers.values():
            optimizer.clear()

    @property
    def _dtype(self) -> torch.dtype:
        """The type of log-probabilities and of everything beside them."""
        return torch.promote_types(self._model.compute_dtype, torch.float32)

    @property
    def _shares_trunk(self) -> bool:
        return self._critic is not None and self._critic.network is None

    def _pack(self, batch: Batch, wanted: Bool[Tensor, " P"], limit: MicroBatchLimit) -> list[MicroBatch]:
        return pack(batch, wanted, limit.tokens, self._model.device)

    def _forward(self, micro: MicroBatch, *, recompute: bool) -> ForwardOutput:
        hidden = self._hidden(micro, recompute=recompute)
        logprobs, entropy = self._logprobs(hidden, micro)
        values = None if self._critic is None else self._critic.values(micro.tree, hidden, recompute=recompute)
        return ForwardOutput(logprobs=logprobs, entropy=entropy, values=values)

    def _hidden(self, micro: MicroBatch, *, recompute: bool = False) -> Float[Tensor, "u H"]:
        return tree_hidden_states(self._model.trunk, micro.tree, recompute=recompute)

    def _logprobs(
        self, hidden: Float[Tensor, "u H"], micro: MicroBatch
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        hidden = hidden.to(self._model.compute_dtype)
        return predicted_logprobs(self._model.head, hidden, micro.tree, self._temperature, self._entropy_min_p)


def movable_groups(training_batch: TrainingBatch, loss: Loss) -> Bool[Tensor, " P"]:
    """The groups whose tokens have a gradient: those with an advantage, or all with a valid rollout."""
    moves = training_batch.batch.valid.any(dim=1) if loss.moves_every_token else training_batch.moving_groups()
    return moves & training_batch.weighted_groups()
