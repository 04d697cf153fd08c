"""What the benchmarks train on: 64 rollouts a step of SmolLM2-135M-Instruct, in three shapes, and smaller things.

`short` is the quickstart's step: answers end where the model ends them. In the others an answer has an exact number of
tokens, so that two programs do the same work whatever the model says. A step has the same prompts every time.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from verifine.tasks import load_task
from verifine.types import Example, Message

MODEL = "SmolLM2-135M-Instruct"
TINY = "tiny"
"""Instead of a model's name: a random model of a few thousand weights, made on the spot."""

LEARNING_RATE = 1e-6
BETAS = (0.9, 0.99)
WEIGHT_DECAY = 0.0
MAX_GRAD_NORM = 1.0

WARMUP_STEPS = 1
"""Steps before those that count: memory is fresh in them."""

SHOTS = (("Largest of 4, 17, 9", "<answer>17</answer>"), ("Largest of 90, 12, 55", "<answer>90</answer>"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a training step samples and learns from."""

    name: str
    prompts: int
    group_size: int
    max_new_tokens: int
    stops: bool
    """Whether the model may end an answer early; else each has exactly `max_new_tokens`."""
    examples: Callable[[int], list[Example]]
    """So many different prompts."""
    steps: int
    """How many steps of Verifine are measured."""
    trl_steps: int
    """How many of TRL, which takes minutes for one."""
    trl_micro_batch: int
    """Rollouts that TRL reads at a time: as many as fit 24 GB."""

    @property
    def rollouts(self) -> int:
        return self.prompts * self.group_size


def with_micro_batch(workload: Workload, size: int | None) -> Workload:
    """`workload` with TRL reading `size` rollouts at a time, where that is given."""
    return workload if size is None else replace(workload, trl_micro_batch=size)


def two_shot(count: int) -> list[Example]:
    """Problems of the task `largest` behind two worked answers: about 105 tokens of SmolLM2's."""
    shots = [
        message
        for question, answer in SHOTS
        for message in (Message(role="user", content=question), Message(role="assistant", content=answer))
    ]
    return [
        Example(id=example.id, messages=(example.messages[0], *shots, example.messages[-1]), item=example.item)
        for example in load_task("largest", seed=0, train_size=count, held_out_size=1).train
    ]


def countdown(count: int) -> list[Example]:
    """Problems of the task `countdown`: about 76 tokens."""
    return list(load_task("countdown", seed=0, train_size=count, held_out_size=1).train)


def numbers(length: int, count: int) -> list[Example]:
    """`length` random numbers of two digits (4 tokens of SmolLM2's each), so that prompts differ from the first on."""
    random = Random(0)
    return [
        _question(index, ", ".join(str(random.randrange(10, 100)) for _ in range(length)) + ". Which is the largest?")
        for index in range(count)
    ]


def characters(length: int, count: int) -> list[Example]:
    """`length` random letters, each a token of a tokenizer of characters."""
    random = Random(0)
    return [_question(index, "".join(random.choices(string.ascii_letters, k=length))) for index in range(count)]


def _question(index: int, text: str) -> Example:
    return Example(id=str(index), messages=(Message(role="user", content=text),), item={})


SHORT = Workload(
    name="short",
    prompts=8,
    group_size=8,
    max_new_tokens=16,
    stops=True,
    examples=two_shot,
    steps=5,
    trl_steps=2,
    trl_micro_batch=64,
)
FIXED = Workload(
    name="fixed",
    prompts=8,
    group_size=8,
    max_new_tokens=64,
    stops=False,
    examples=countdown,
    steps=5,
    trl_steps=2,
    trl_micro_batch=64,
)
LONG_PROMPT = Workload(
    name="long-prompt",
    prompts=4,
    group_size=16,
    max_new_tokens=64,
    stops=False,
    examples=partial(numbers, 66),
    steps=5,
    trl_steps=2,
    trl_micro_batch=16,
)
SMOKE = Workload(
    name="smoke",
    prompts=2,
    group_size=2,
    max_new_tokens=4,
    stops=False,
    examples=partial(numbers, 8),
    steps=1,
    trl_steps=1,
    trl_micro_batch=2,
)
GPU = Workload(
    name="gpu",
    prompts=8,
    group_size=8,
    max_new_tokens=512,
    stops=False,
    examples=partial(characters, 512),
    steps=3,
    trl_steps=2,
    trl_micro_batch=8,
)

COMPARED = (SHORT, FIXED, LONG_PROMPT)
"""Those of SmolLM2, which are compared with TRL."""
WORKLOADS = {workload.name: workload for workload in (*COMPARED, SMOKE, GPU)}
