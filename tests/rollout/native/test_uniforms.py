from __future__ import annotations

import numpy as np

from verifine.rollout.native.uniforms import rollout_key, uniforms


def test_draws_are_splitmix64() -> None:
    # The first three outputs of SplitMix64 for the state 1234567, from its reference implementation.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    keys = np.array([1234567], dtype=np.uint64)
    assert [float(uniforms(keys, token)[0]) for token in range(3)] == [(value >> 11) * 2.0**-53 for value in expected]


def test_draws_are_uniform() -> None:
    keys = np.array([rollout_key(0, 0, f"p{i}", g) for i in range(500) for g in range(8)], dtype=np.uint64)
    draws = np.concatenate([uniforms(keys, token) for token in range(5)])
    assert draws.min() >= 0
    assert draws.max() < 1
    counts, _ = np.histogram(draws, bins=20, range=(0, 1))
    # 20,000 draws in 20 bins: 1,000 each, with a standard deviation of 31.
    assert np.abs(counts - 1000).max() < 5 * 31


def test_every_part_of_the_purpose_changes_the_key() -> None:
    keys = {
        rollout_key(*purpose)
        for purpose in [(0, 0, "a", 0), (1, 0, "a", 0), (0, 1, "a", 0), (0, 0, "b", 0), (0, 0, "a", 1)]
    }
    assert len(keys) == 5
