"""Training batches made by hand: what a tiny model samples, graded as a test wants it."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.algorithms.algorithm import Algorithm, default_algorithm
from verifine.batch import Batch, RolloutBatch, collate
from verifine.learner.critic import ValueHead
from verifine.learner.learner import TrainingBatch
from verifine.learner.local import LocalLearner
from verifine.learner.optim import OptimSettings
from verifine.models.load import LanguageModel
from verifine.rollout.native.native_engine import NativeEngine
from verifine.types import Grade, Group, Prompt, Sampling

GRPO = default_algorithm("grpo")

MAX_TOKENS = 8

SETTINGS = OptimSettings(
    learning_rate=1e-3,
    warmup_steps=0,
    betas=(0.9, 0.99),
    weight_decay=0.0,
    max_grad_norm=1e9,
    micro_batch_tokens=10_000,
)

PROMPTS = ("Largest of 3, 4", "Largest of 31, 4, 77", "Largest of 3", "x")

SCORES = ((1.0, 0.0, 0.5, 0.0), (None, 1.0, 0.0, 0.0), (1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 1.0))
"""For each prompt: signal, an unscorable answer, no signal, signal."""


def sample_groups(
    model: LanguageModel, temperature: float = 1.0, scores: Sequence[Sequence[float | None]] = SCORES
) -> list[Group]:
    """A group for each row of `scores`, which its answers get whatever they say; None is unscorable."""
    texts = PROMPTS[: len(scores)]
    prompts = [Prompt(id=text, token_ids=tuple(model.tokenizer(text).input_ids), item={}) for text in texts]
    sampling = Sampling(group_size=len(scores[0]), max_new_tokens=MAX_TOKENS, temperature=temperature)
    return [
        group.graded([Grade.unscorable("broken") if value is None else Grade(score=value) for value in row])
        for group, row in zip(NativeEngine(model).generate(prompts, sampling), scores, strict=True)
    ]


def make_learner(model: LanguageModel, settings: OptimSettings = SETTINGS, algorithm: Algorithm = GRPO) -> LocalLearner:
    """A learner at temperature 1 with a critic, if the algorithm has one."""
    critic = ValueHead(model, settings) if algorithm.loss.value is not None else None
    return LocalLearner(model, settings, 1.0, critic=critic)


def make_batch(groups: Sequence[Group]) -> Batch:
    """Every scorable rollout of `groups`, with its score as its reward."""
    return collate(RolloutBatch.of(groups), MAX_TOKENS)


def make_training_batch(learner: LocalLearner, groups: Sequence[Group], algorithm: Algorithm = GRPO) -> TrainingBatch:
    """What `learner` would be given in a step with these groups."""
    batch = make_batch(groups)
    estimates = learner.estimate(batch)
    return TrainingBatch(batch=batch, estimates=estimates, advantages=algorithm.advantages(batch, estimates))
