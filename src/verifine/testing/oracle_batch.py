"""What `oracle_rows` and `conformance` work on: the rollouts of a step as plain numbers, and random ones."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random


@dataclass(frozen=True, slots=True, kw_only=True)
class NaiveRollout:
    """One answer to a prompt: its grade, and a number a token of everything that is known."""

    reward: float
    valid: bool = True
    truncated: bool = False
    format_ok: bool = True
    logprobs: tuple[float, ...]
    """Under the current policy: the gradient is with respect to these."""
    old_logprobs: tuple[float, ...]
    """Under the policy at the beginning of the step."""
    behaviour_logprobs: tuple[float, ...]
    """Under the engine that sampled."""
    reference_logprobs: tuple[float, ...] | None = None
    """None where beta is 0."""
    entropies: tuple[float, ...]
    values: tuple[float, ...] | None = None
    """Values of the current critic; None without one."""
    old_values: tuple[float, ...] | None = None
    """Values of the critic at the beginning of the step; None without one."""
    forced: tuple[int, ...] = ()
    """The places of tokens that were not chosen: part of the answer's length, and of nothing else."""


Prompts = Sequence[Sequence[NaiveRollout]]
"""The rollouts of each prompt, equally many for all."""

DRIFTS = (0.0, 2e-4, 0.05, 0.3, 1.5)
"""How far the log-probabilities of a rollout have moved since it was sampled: from not at all to beyond every clip."""


def random_prompts(random: Random, *, prompts: int, group_size: int, max_tokens: int) -> list[list[NaiveRollout]]:
    """A step with everything that goes wrong in one.

    Groups of equal rewards, unscorable rollouts (whose reward is not a number) and groups of them, wrong formats,
    truncated and one-token rollouts, ratios on both sides of every clip. Every number is a float32, so that
    implementations of either precision can be given the same. Nothing is None: the settings say what is used.
    """
    return [_random_group(random, group_size, max_tokens) for _ in range(prompts)]


def with_forced(random: Random, prompts: Prompts) -> list[list[NaiveRollout]]:
    """The same step with some tokens forced in every answer, but never all."""

    def places(length: int) -> tuple[int, ...]:
        return tuple(sorted(random.sample(range(length), random.randint(0, length - 1))))

    return [[replace(rollout, forced=places(len(rollout.logprobs))) for rollout in group] for group in prompts]


def _random_group(random: Random, group_size: int, max_tokens: int) -> list[NaiveRollout]:
    rewards = random.choice(
        [
            [float(random.random() < 0.5) for _ in range(group_size)],
            [_float32(random.uniform(-2, 2)) for _ in range(group_size)],
            [_float32(random.uniform(-2, 2))] * group_size,
        ]
    )
    share_valid = random.choice([1.0, 0.8, 0.8, 0.3, 0.0])
    return [_random_rollout(random, reward, random.random() < share_valid, max_tokens) for reward in rewards]


def _random_rollout(random: Random, reward: float, valid: bool, max_tokens: int) -> NaiveRollout:
    length = random.choice([1, max_tokens, random.randint(1, max_tokens), random.randint(1, max_tokens)])
    drift = random.choice(DRIFTS)
    old_logprobs = [-random.expovariate(1.0) for _ in range(length)]
    old_values = [random.gauss(0, 1) for _ in range(length)]
    return NaiveRollout(
        reward=reward if valid else float("nan"),
        valid=valid,
        truncated=length == max_tokens and random.random() < 0.7,
        format_ok=random.random() < 0.7,
        logprobs=_near(random, old_logprobs, drift),
        old_logprobs=_near(random, old_logprobs, 0),
        behaviour_logprobs=_near(random, old_logprobs, random.choice([0.0, 0.1, 1.0])),
        reference_logprobs=_near(random, old_logprobs, 0.5),
        entropies=tuple(_float32(random.uniform(0, 3)) for _ in range(length)),
        values=_near(random, old_values, random.choice([0.05, 0.5])),
        old_values=_near(random, old_values, 0),
    )


def _near(random: Random, numbers: Sequence[float], distance: float) -> tuple[float, ...]:
    return tuple(_float32(number + random.gauss(0, distance)) for number in numbers)


def _float32(number: float) -> float:
    (rounded,) = struct.unpack("f", struct.pack("f", number))
    return float(rounded)
