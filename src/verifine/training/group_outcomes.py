"""How the groups of a step come out: all right, all wrong or mixed, and how many would be mixed by chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from verifine.types import Grade, Group

PASS_SCORE = 0.9
"""A score from 0 to 1 with which an answer counts as right where the grader neither judges answers nor has a pass mark:
nearly everything, so that a plateau at part of the score is no success."""


def outcome_shares(groups: Sequence[Group], pass_score: float | None) -> dict[str, float]:
    """The metrics of the groups with a scored answer; an answer without a score counts nowhere.

    The outcome of an answer is right or wrong where the grader judges that, else its score. A group with different
    outcomes is mixed; one with equal outcomes is all right if they pass, else all wrong. That is left out where scores
    are not from 0 to 1 and there is no `pass_score`. The undecidedness is the mixed share over the one that is expected
    by chance: 1 on average if every prompt has the same rate of success, 0 if each is always right or always wrong. It
    is left out where nothing can be mixed: all outcomes are equal, or groups have one answer.
    """
    graded = [grades for group in groups if (grades := [grade for grade in group.grades if grade.valid])]
    if not graded:
        return {}
    outcomes = [[_outcome(grade) for grade in grades] for grades in graded]
    is_mixed = [len(set(each)) > 1 for each in outcomes]
    mixed, expected = sum(is_mixed) / len(graded), expected_mixed(outcomes)
    shares = {"groups/frac_mixed": mixed, "groups/frac_mixed_expected": expected}
    if expected:
        shares["groups/undecidedness"] = mixed / expected
    if pass_score is not None or all(0 <= each <= 1 for group in outcomes for each in group):
        mark = PASS_SCORE if pass_score is None else pass_score
        passes = [bool(grades[0].passes(mark)) for grades, mix in zip(graded, is_mixed, strict=True) if not mix]
        shares["groups/frac_all_right"] = passes.count(True) / len(graded)
        shares["groups/frac_all_wrong"] = passes.count(False) / len(graded)
    return shares


def expected_mixed(groups: Sequence[Sequence[float]]) -> float:
    """The share of groups with different outcomes, if all outcomes of the step were dealt to its groups at random.

    Of N outcomes, of which n[v] are v, G are equal with probability sum over v of C(n[v], G) / C(N, G). With right
    answers at a rate p this comes to 1 - p^G - (1-p)^G in the limit of many answers, and with few it has no bias, as
    pass@k in arXiv:2107.03374. Groups may differ in size; none is empty.
    """
    counts = Counter(outcome for group in groups for outcome in group)
    sizes = Counter(map(len, groups))
    equal = sum(groups_of * _all_equal(size, counts) for size, groups_of in sizes.items())
    return 1 - equal / len(groups)


def _all_equal(size: int, counts: Counter[float]) -> float:
    """The probability that so many outcomes, drawn without replacement, are equal."""
    if size == 1:
        return 1.0
    total = counts.total()
    return math.fsum(math.prod((count - i) / (total - i) for i in range(size)) for count in counts.values())


def _outcome(grade: Grade) -> float:
    assert grade.score is not None, "only scored answers have an outcome"
    return grade.score if grade.answer_ok is None else float(grade.answer_ok)
