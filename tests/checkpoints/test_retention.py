from __future__ import annotations

from verifine.checkpoints.retention import kept_steps


def test_the_last_and_the_best_stay() -> None:
    scores = {10: 0.2, 20: 0.9, 30: 0.9, 50: 0.1}
    assert kept_steps([10, 20, 30, 40, 50], scores, last=2, best=1) == {20, 40, 50}
    assert kept_steps([10, 20, 30, 40, 50], scores, last=1, best=2) == {20, 30, 50}


def test_a_score_without_a_checkpoint_keeps_nothing() -> None:
    assert kept_steps([40, 50], {10: 1.0}, last=1, best=1) == {50}


def test_the_newest_stays_whatever_is_asked() -> None:
    assert kept_steps([3, 7, 5], {}, last=0, best=0) == {7}
    assert kept_steps([], {}, last=2, best=2) == set()
