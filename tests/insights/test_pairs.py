from __future__ import annotations

import pytest

from verifine.insights.inference import Conclusion
from verifine.insights.pairs import ProblemChange, pair_up
from verifine.runs.evaluations import EvaluatedSample, Evaluation


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


def test_problems_are_paired_by_id_and_others_left_out() -> None:
    pairing = pair_up(evaluation(a=0.0, b=1.0, c=1.0), evaluation(c=1.0, b=0.0, a=1.0, d=1.0))
    assert [(pair.after.prompt_id, pair.change) for pair in pairing.pairs] == [
        ("c", ProblemChange.SAME),
        ("b", ProblemChange.LOST),
        ("a", ProblemChange.WON),
    ]


def test_without_a_judgement_the_score_decides() -> None:
    pairing = pair_up(evaluation(a=0.2, b=0.6), evaluation(a=0.3, b=0.5))
    assert pairing.measure == "reward"
    assert [pair.change for pair in pairing.pairs] == [ProblemChange.WON, ProblemChange.LOST]


def test_a_problem_that_could_not_be_scored_is_left_out_rather_than_lost() -> None:
    pairing = pair_up(evaluation(a=0.2, b=0.6, c=0.4), evaluation(a=None, b=0.7, c=0.5))
    assert [pair.after.prompt_id for pair in pairing.pairs] == ["b", "c"]
    assert pairing.difference == pytest.approx(0.1)


def test_where_nothing_is_known_of_both_nothing_is_compared() -> None:
    pairing = pair_up(evaluation(a=None), evaluation(a=1.0))
    assert (pairing.measure, pairing.pairs, pairing.difference, pairing.interval) == (None, (), None, None)
    assert pairing.conclusion is Conclusion.NOT_COMPARED
    assert pairing.numbers() == {
        "conclusion": "not compared",
        "measure": None,
        "difference": None,
        "interval": None,
        "p_value": None,
        "problems": 0,
        "won": 0,
        "lost": 0,
    }
    assert pair_up(evaluation(a=1.0), evaluation(b=1.0)).conclusion is Conclusion.NOT_COMPARED


@pytest.mark.parametrize(
    ("won", "lost", "conclusion", "p_value"),
    [
        (5, 0, Conclusion.NO_EVIDENCE, 2 / 32),
        (6, 0, Conclusion.BETTER, 2 / 64),
        (0, 6, Conclusion.WORSE, 2 / 64),
        (3, 3, Conclusion.NO_EVIDENCE, 1.0),
    ],
)
def test_the_verdict_is_the_one_worked_by_hand(won: int, lost: int, conclusion: Conclusion, p_value: float) -> None:
    names = [f"p{number}" for number in range(won + lost + 4)]
    before = evaluation(**{name: float(number >= won) for number, name in enumerate(names)})
    after = evaluation(**{name: float(not won <= number < won + lost) for number, name in enumerate(names)})
    pairing = pair_up(before, after)
    assert pairing.conclusion is conclusion
    assert pairing.p_value == pytest.approx(p_value)
    assert pairing.difference == pytest.approx((won - lost) / len(names))
    low, high = pairing.interval or (9, -9)
    assert low <= (won - lost) / len(names) <= high
    assert pairing.numbers()["won"] == won


def test_the_size_of_a_difference_counts_and_not_only_its_sign() -> None:
    # +0.5 +0.4 +0.3 -0.1: of 16 sums, 1.1 and 1.3 and back are as far away as 1.1
    before = evaluation(a=0.1, b=0.1, c=0.1, d=0.5)
    after = evaluation(a=0.6, b=0.5, c=0.4, d=0.4)
    assert pair_up(before, after).p_value == pytest.approx(4 / 16)


def test_several_answers_are_compared_by_their_averages() -> None:
    def asked(*rights: str) -> Evaluation:
        samples = [
            EvaluatedSample(
                prompt_id=str(problem),
                prompt="",
                text=f"{place}: {letter}",
                score=0.0,
                format_ok=None,
                answer_ok=letter == "1",
                sample=place,
            )
            for problem, letters in enumerate(rights)
            for place, letter in enumerate(letters)
        ]
        return Evaluation(name="any", samples=tuple(samples), temperature=1.0)

    pairing = pair_up(asked("0001", "1100"), asked("0111", "0011"))
    assert [(pair.difference, pair.change) for pair in pairing.pairs] == [
        (0.5, ProblemChange.WON),
        (0.0, ProblemChange.SAME),
    ]
    assert (pairing.pairs[0].before.text, pairing.pairs[0].after.text) == ("0: 0", "1: 1")


def test_examples_are_the_first_wins_and_one_loss() -> None:
    before = evaluation(a=1.0, b=0.0, c=1.0, d=0.0, e=0.0, f=0.0)
    after = evaluation(a=0.0, b=1.0, c=0.0, d=1.0, e=1.0, f=1.0)
    shown = pair_up(before, after).examples(4)
    assert [pair.after.prompt_id for pair in shown] == ["b", "d", "e", "a"]


def test_examples_are_filled_up_to_two_where_little_changed() -> None:
    before, after = evaluation(a=1.0, b=1.0, c=0.0), evaluation(a=1.0, b=1.0, c=1.0)
    assert [pair.after.prompt_id for pair in pair_up(before, after).examples()] == ["c", "a"]
    assert [pair.after.prompt_id for pair in pair_up(before, before).examples()] == ["a", "b"]
