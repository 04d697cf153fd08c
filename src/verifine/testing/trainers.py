"""A trainer without a model: a scripted engine, a learner that remembers, and a clock that ticks with each reading."""

from __future__ import annotations

from collections.abc import Callable

from verifine.algorithms.algorithm import default_algorithm
from verifine.graders import callable_grader
from verifine.learner.learner import UpdateOutcome
from verifine.testing.fakes import FakeLearner, ScriptedEngine
from verifine.training.source import PromptSource
from verifine.training.trainer import Trainer
from verifine.types import Example, Message, Prompt, Sampling

EXAMPLES = [
    Example(id=f"e{i}", messages=(Message(role="user", content=str(i)),), item={"want": str(i)}) for i in range(10)
]


def scripted_trainer(
    answer: Callable[[Prompt, int], str], algorithm: str = "grpo", outcome: UpdateOutcome = UpdateOutcome.APPLIED
) -> tuple[Trainer, ScriptedEngine, FakeLearner]:
    """A trainer with its engine and learner: three prompts a step, four answers each.

    An answer is right if it is the prompt's `want`.
    """
    engine, learner = ScriptedEngine(answer), FakeLearner(outcome)
    ticks = iter(range(1_000_000))
    trainer = Trainer(
        source=PromptSource(EXAMPLES, lambda e: Prompt(id=e.id, token_ids=(1, 2), item=e.item), seed=0),
        engine=engine,
        grader=callable_grader(lambda sample, item: float(sample["output_text"] == item["want"])),
        algorithm=default_algorithm(algorithm),
        learner=learner,
        canary=None,
        sampling=Sampling(group_size=4, max_new_tokens=8, seed=0),
        prompts_per_step=3,
        max_resample=2,
        epochs=1,
        mini_batches=1,
        clock=lambda: float(next(ticks)),
    )
    return trainer, engine, learner


def right_when_even(prompt: Prompt, sample: int) -> str:
    """Every other answer is right."""
    return str(prompt.item["want"]) if sample % 2 == 0 else "wrong"
