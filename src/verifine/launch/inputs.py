"""The inputs of a run: its examples and its grader's config. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from verifine.config import GraderConfig, RunConfig
from verifine.config.resolve import longest_answer
from verifine.data import hold_out, read_examples
from verifine.errors import DataError
from verifine.tasks import load_task
from verifine.types import Example

TASK_EXAMPLES = 4096
"""The largest number of training problems of a built-in task."""

MAX_NEW_TOKENS = 256
"""Longest answer to a user's own data, unless the config says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInputs:
    """The inputs of a run, read and checked; no model is loaded yet."""

    config: RunConfig
    train: Sequence[Example]
    held_out: Sequence[Example]
    grader: GraderConfig | None
    """None: the caller passes a grader."""
    answer_tokens: int
    """Longest answer, in tokens, unless the config says otherwise."""
    advantages: Callable[..., Any] | None = None
    """Those that the caller passes, as `algorithms.advantages.GroupAdvantages`, whose module needs torch; None: those
    of the algorithm."""

    def max_new_tokens(self, context_length: int) -> int:
        """Longest answer of a model that reads so many tokens."""
        return longest_answer(self.config, self.answer_tokens, context_length)


def load_inputs(config: RunConfig) -> RunInputs:
    """Reads the data a config names.

    Raises:
        DataError: a file cannot be read as data, or has too few rows.
    """
    if config.data.task is not None:
        task = load_task(
            config.data.task, seed=config.run.seed, train_size=TASK_EXAMPLES, held_out_size=config.data.eval_size
        )
        return RunInputs(
            config=config,
            train=task.train,
            held_out=task.held_out,
            grader=task.grader,
            answer_tokens=task.max_new_tokens,
        )
    assert config.data.train is not None
    examples = read_examples(config.data.train, config.data.columns, config.data.system_prompt)
    train: Sequence[Example]
    held_out: Sequence[Example]
    if config.data.eval is not None:
        given = read_examples(config.data.eval, config.data.columns, config.data.system_prompt)
        train, held_out = examples, given[: config.data.eval_size]
    else:
        learned, held = hold_out(examples.fingerprints, config.run.seed, config.data.eval_size)
        train, held_out = examples.select(learned), examples.select(held)
    if len(train) < config.sampling.prompts_per_step:
        raise DataError(
            f"{config.data.train} leaves {len(train)} examples to train on, fewer than the "
            f"{config.sampling.prompts_per_step} of one step. Add examples or lower sampling.prompts_per_step."
        )
    return RunInputs(config=config, train=train, held_out=held_out, grader=config.grader, answer_tokens=MAX_NEW_TOKENS)
