"""One training step: reinforcement fine-tuning on one screen.

prompts -> rollouts -> grades -> groups to train on -> advantages -> updates -> the engine's new weights
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from verifine.batch import collate
from verifine.learner.learner import TrainingBatch, UpdateOutcome
from verifine.training.collect import Harvest, collect
from verifine.training.minibatches import merge_reports, minibatches
from verifine.training.stopwatch import Stopwatch
from verifine.training.summary import summarize
from verifine.training.trainer import Progress, Trainer
from verifine.types import StepReport


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What a step leaves behind."""

    progress: Progress
    report: StepReport
    outcomes: tuple[UpdateOutcome, ...]
    """Of each update; none without a lesson."""
    harvest: Harvest
    lesson: TrainingBatch | None
    """Of the harvest's kept groups. None: their rewards say nothing."""


def train_step(trainer: Trainer, progress: Progress) -> StepResult:
    """Samples, grades, gives credit and learns; from then on the engine samples from what was learned."""
    step = progress.step + 1
    sampling = replace(trainer.sampling, step=step)
    watch = Stopwatch(trainer.clock)

    harvest = collect(trainer, sampling, progress.position, watch)
    batch = collate(harvest.kept, harvest.rewards, harvest.valid, sampling.max_new_tokens)
    lesson = None
    if trainer.algorithm.estimator.has_signal(batch.rewards, batch.valid):
        with watch.measure("estimate"):
            estimates = trainer.learner.estimate(batch)
        lesson = TrainingBatch(batch=batch, estimates=estimates, credit=trainer.algorithm.credit(batch, estimates))
    with watch.measure("update"):
        parts = minibatches(lesson, trainer.epochs, trainer.mini_batches, key=(sampling.seed, step))
        updates = [trainer.learner.update(part, trainer.algorithm.loss) for part in parts]
        outcomes = tuple(update.outcome for update in updates)
        version = progress.updates + outcomes.count(UpdateOutcome.APPLIED)
        trainer.engine.load_weights(trainer.learner.weights(), version=version)
        learned, seen = merge_reports(updates), {}
        if trainer.canary is not None:
            seen = trainer.canary.check(trainer.engine, version, learned.get("mismatch/mean"))

    tokens = progress.tokens + _count_tokens(harvest)
    position = progress.position + len(harvest.sampled)
    return StepResult(
        progress=Progress(step=step, position=position, updates=version, tokens=tokens),
        report=StepReport(
            step=step,
            metrics={
                **summarize(harvest.sampled),
                **learned,
                **seen,
                "groups/trained": 0.0 if lesson is None else float(lesson.moving_groups().sum()),
                "groups/resampled": float(len(harvest.sampled) - trainer.prompts_per_step),
                "groups/missing": float(trainer.prompts_per_step - len(harvest.kept)),
                "num_tokens": float(tokens),
                "tokens_per_second": watch.rate("generate", _count_tokens(harvest)),
                **watch.metrics(),
            },
        ),
        outcomes=outcomes,
        harvest=harvest,
        lesson=lesson,
    )


def _count_tokens(harvest: Harvest) -> int:
    return sum(len(rollout.token_ids) for group in harvest.sampled for rollout in group.rollouts)
