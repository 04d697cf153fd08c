from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.training.best import Best


def found(score: float | None, second_score: float | None = None) -> Evaluation:
    sample = EvaluatedSample(
        prompt_id="a", prompt="", text="", score=score, format_ok=None, answer_ok=None, second_score=second_score
    )
    return Evaluation(name="any", samples=(sample,))


def noted(*scores: float | None) -> Best:
    """The evaluation before training, and then one every ten steps."""
    best = Best()
    for place, score in enumerate(scores):
        best = best.note(found(score), 10 * place)
    return best


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ((), None),
        ((0.4,), 0),
        ((0.4, 0.6, 0.5), 10),
        ((0.4, 0.3, 0.2), 0),
        # of equals the earlier one stays
        ((0.4, 0.6, 0.6), 10),
        ((None, 0.1), 10),
        ((None, None), None),
    ],
)
def test_the_best_evaluation_is_the_highest_and_the_first_of_these(
    scores: Sequence[float | None], step: int | None
) -> None:
    assert noted(*scores).step == step


@pytest.mark.parametrize(
    ("scores", "patience", "is_over"),
    [
        ((), 1, False),
        ((0.4,), 1, False),
        ((0.4, 0.4), 1, True),
        ((0.4, 0.5, 0.4), 2, False),
        ((0.4, 0.5, 0.4, 0.5), 2, True),
        ((0.4, 0.5, 0.4, 0.6, 0.1), 2, False),
        # what could not be scored is not held against the model
        ((0.4, None, None, 0.3), 2, False),
        ((0.4, None, 0.1, None, 0.3), 2, True),
        ((0.4, 0.3, 0.2, 0.1), None, False),
    ],
)
def test_patience_is_over_after_so_many_evaluations_without_a_new_best(
    scores: Sequence[float | None], patience: int | None, is_over: bool
) -> None:
    assert noted(*scores).is_over(patience) is is_over


@given(st.lists(st.sampled_from([None, 0.1, 0.2, 0.3, 0.4]), max_size=12), st.integers(1, 4))
def test_it_is_what_a_loop_that_remembers_the_best_says(scores: list[float | None], patience: int) -> None:
    best: float | None = None
    best_place, waited = None, 0
    for place, score in enumerate(scores):
        if score is None:
            continue
        if best is None or score > best:
            best, best_place, waited = score, place, 0
        else:
            waited += 1
    state = noted(*scores)
    assert state.step == (None if best_place is None else 10 * best_place)
    assert state.is_over(patience) == (waited >= patience)


def test_what_decides_stays_what_it_was_at_first() -> None:
    best = Best().note(found(0.9, second_score=0.2), 0)
    assert best.measure == "second_score"
    # The second grader is away: the first one's score is no score of the second's.
    assert best.note(found(1.0), 10) == best
    assert best.note(found(0.1, second_score=0.3), 20).step == 20


def test_it_survives_a_checkpoint() -> None:
    state, kept = noted(0.1, 0.30000000000000004, None), TypeAdapter(Best)
    assert kept.validate_json(kept.dump_json(state)) == state
    assert state.scores == {0: 0.1, 10: 0.30000000000000004}
