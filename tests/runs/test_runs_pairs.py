from __future__ import annotations

import pytest

from verifine.runs.evaluation import EvaluatedSample, Evaluation
from verifine.runs.pairs import Change, pair_up, sign_test


def evaluation(**scores: float | None) -> Evaluation:
    """One sample a keyword; a whole score is also a judgement, right or wrong."""
    return Evaluation(
        name="any",
        samples=tuple(
            EvaluatedSample(
                prompt_id=prompt_id,
                prompt="",
                text="",
                score=score,
                format_ok=None,
                answer_ok=None if score not in {0.0, 1.0} else score == 1.0,
            )
            for prompt_id, score in scores.items()
        ),
    )


@pytest.mark.parametrize(
    ("won", "lost", "probability"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 0, 2 / 32),
        (0, 6, 2 / 64),
        (3, 1, 2 * (1 + 4) / 16),
        (2, 2, 1.0),
        # 26 won, 2 lost: 2 (1 + 28 + 378) / 2^28
        (26, 2, 814 / 2**28),
    ],
)
def test_sign_test_is_the_one_worked_by_hand(won: int, lost: int, probability: float) -> None:
    assert sign_test(won, lost) == pytest.approx(probability)


def test_sign_test_of_many_problems_does_not_overflow() -> None:
    assert sign_test(600, 600) == 1.0
    assert 0 < sign_test(1050, 0) < 1e-300


def test_problems_are_paired_by_id_and_others_left_out() -> None:
    pairing = pair_up(evaluation(a=0.0, b=1.0, c=1.0), evaluation(c=1.0, b=0.0, a=1.0, d=1.0))
    assert [(pair.after.prompt_id, pair.change) for pair in pairing.pairs] == [
        ("c", Change.SAME),
        ("b", Change.LOST),
        ("a", Change.WON),
    ]


def test_without_a_judgement_the_score_decides() -> None:
    pairing = pair_up(evaluation(a=0.2, b=0.6, c=None), evaluation(a=0.3, b=0.5, c=0.1))
    assert [pair.change for pair in pairing.pairs] == [Change.WON, Change.LOST, Change.WON]


def test_examples_are_the_first_wins_and_one_loss() -> None:
    before = evaluation(a=1.0, b=0.0, c=1.0, d=0.0, e=0.0, f=0.0)
    after = evaluation(a=0.0, b=1.0, c=0.0, d=1.0, e=1.0, f=1.0)
    shown = pair_up(before, after).examples(4)
    assert [pair.after.prompt_id for pair in shown] == ["b", "d", "e", "a"]


def test_examples_are_filled_up_to_two_where_little_changed() -> None:
    before, after = evaluation(a=1.0, b=1.0, c=0.0), evaluation(a=1.0, b=1.0, c=1.0)
    assert [pair.after.prompt_id for pair in pair_up(before, after).examples()] == ["c", "a"]
    assert [pair.after.prompt_id for pair in pair_up(before, before).examples()] == ["a", "b"]
