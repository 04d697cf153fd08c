"""Drawing a task's training and held-out examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

from verifine.config.run import TaskName
from verifine.data.randomness import random_for
from verifine.data.suggestion import did_you_mean
from verifine.errors import ConfigError
from verifine.tasks.countdown import countdown
from verifine.tasks.numbers import add, largest, sort, subtract
from verifine.tasks.task import ProblemSet, Task
from verifine.tasks.words import count_letters
from verifine.types import Example, Message

_PROBLEM_SETS: dict[TaskName, Callable[[], ProblemSet]] = {
    "largest": largest,
    "add": add,
    "subtract": subtract,
    "count": count_letters,
    "sort": sort,
    "countdown": countdown,
}


def load_task(name: TaskName, *, seed: int, train_size: int, held_out_size: int) -> Task:
    """The task with different questions throughout; no question is both learned from and held out.

    The held-out examples do not depend on the seed, so runs can be compared. A task with too few questions gives
    the held-out ones first and then as many others as it has.
    """
    if name not in _PROBLEM_SETS:
        raise ConfigError(
            f'there is no task "{name}"{did_you_mean(name, _PROBLEM_SETS)}; give one of {", ".join(_PROBLEM_SETS)}'
        )
    problems = _PROBLEM_SETS[name]()
    held_out = tuple(islice(_examples(name, problems, random_for("held out", name)), held_out_size))
    taken = {example.id for example in held_out}
    others = (
        example for example in _examples(name, problems, random_for("train", name, seed)) if example.id not in taken
    )
    return Task(
        name=name,
        grader=problems.grader,
        train=tuple(islice(others, train_size)),
        held_out=held_out,
        max_new_tokens=problems.max_new_tokens,
    )


def _examples(name: TaskName, problems: ProblemSet, random: Random) -> Iterator[Example]:
    """Every problem once, in random order, save the one that each prompt shows solved."""
    for index in _shuffled(problems.size, random):
        problem = problems.problem(index)
        if problem.question == problems.shot_question:
            continue
        yield Example(
            id=f"{name}-{index}",
            messages=_chat(problems, problem.question),
            item={"question": problem.question, "gt_answer": problem.answer, **problem.fields},
        )


def _shuffled(size: int, random: Random) -> Iterator[int]:
    """The numbers below `size` in random order, made one by one: some tasks have a million problems."""
    seen: set[int] = set()
    while len(seen) < size:
        index = random.randrange(size)
        if index not in seen:
            seen.add(index)
            yield index


def _chat(problems: ProblemSet, question: str) -> tuple[Message, ...]:
    return (
        Message(role="system", content=problems.system),
        Message(role="user", content=problems.shot_question),
        Message(role="assistant", content=f"<answer>{problems.shot_answer}</answer>"),
        Message(role="user", content=question),
    )
