"""One training step: reinforcement fine-tuning on one screen.

prompts -> rollouts -> grades -> groups to train on -> advantages -> update -> the engine's new weights
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from verifine.batch import collate
from verifine.learner.learner import UpdateOutcome
from verifine.train.collect import Harvest, collect
from verifine.train.stopwatch import Stopwatch
from verifine.train.summary import summarize
from verifine.train.trainer import Progress, Trainer
from verifine.types import StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step leaves behind."""

    progress: Progress
    report: StepReport
    outcome: UpdateOutcome
    harvest: Harvest
    advantages: Float[Tensor, "P G"]
    """Of the harvest's kept groups."""


def train_step(trainer: Trainer, progress: Progress) -> StepResult:
    """Samples, grades, gives credit and learns; from then on the engine samples from what was learned."""
    step = progress.step + 1
    watch = Stopwatch(trainer.clock)

    harvest = collect(trainer, replace(trainer.sampling, step=step), progress.position, watch)
    batch = collate(harvest.kept, harvest.rewards, harvest.valid)
    with watch.measure("estimate"):
        estimates = trainer.learner.estimate(batch)
    advantages = trainer.algorithm.credit(batch.rewards, batch.valid)
    with watch.measure("update"):
        update = trainer.learner.update(batch, estimates, batch.spread(advantages), trainer.algorithm.loss)
        updates = progress.updates + (update.outcome is UpdateOutcome.APPLIED)
        trainer.engine.load_weights(trainer.learner.weights(), version=updates)

    tokens = progress.tokens + _count_tokens(harvest)
    position = progress.position + len(harvest.sampled)
    return StepResult(
        progress=Progress(step=step, position=position, updates=updates, tokens=tokens),
        report=StepReport(
            step=step,
            metrics={
                **summarize(harvest.sampled),
                **update.metrics,
                "groups/trained": float((advantages != 0).any(dim=1).sum()),
                "groups/resampled": float(len(harvest.sampled) - trainer.prompts_per_step),
                "num_tokens": float(tokens),
                "tokens_per_second": watch.rate("generate", _count_tokens(harvest)),
                **watch.metrics(),
            },
        ),
        outcome=update.outcome,
        harvest=harvest,
        advantages=advantages,
    )


def _count_tokens(harvest: Harvest) -> int:
    return sum(len(rollout.token_ids) for group in harvest.sampled for rollout in group.rollouts)
