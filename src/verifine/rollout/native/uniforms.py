"""Random numbers as a function of (seed, step, prompt, sample, token), so no generator state has to be stored."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from verifine.types import Prompt, Sampling

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def rollout_key(seed: int, step: int, prompt_id: str, sample: int) -> int:
    """The 64-bit key of one rollout's random numbers."""
    name = f"{seed}/{step}/{sample}/{prompt_id}".encode()
    return int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


def rollout_keys(prompt: Prompt, sampling: Sampling, samples: Iterable[int]) -> list[int]:
    """The keys of a prompt's samples with these numbers."""
    return [rollout_key(sampling.seed, sampling.step, prompt.id, sample) for sample in samples]


def uniforms(keys: NDArray[np.uint64], tokens: NDArray[np.uint64] | int) -> NDArray[np.float64]:
    """For each key its random number in [0, 1) for token number `tokens` (SplitMix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        z = keys + GOLDEN * (np.asarray(tokens, dtype=np.uint64) + np.uint64(1))
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    drawn: NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return drawn
