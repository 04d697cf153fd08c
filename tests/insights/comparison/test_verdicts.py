from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from verifine.insights.comparison.variants import find_variants
from verifine.insights.comparison.verdicts import VariantVerdict, judge_variants
from verifine.insights.inference import Conclusion
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


def judged(*runs: RunRecord) -> list[VariantVerdict]:
    return judge_variants(find_variants(runs))


@pytest.mark.parametrize(
    ("ours", "theirs", "conclusion", "p_value"),
    [
        ("11111", "00000", Conclusion.NO_EVIDENCE, 2 / 32),
        ("111111", "000000", Conclusion.BETTER, 2 / 64),
        ("0000001", "1111111", Conclusion.WORSE, 2 / 64),
        ("1100", "1100", Conclusion.NO_EVIDENCE, 1.0),
    ],
)
def test_one_run_a_side_is_the_sign_test(
    make_run: MakeRun, ours: str, theirs: str, conclusion: Conclusion, p_value: float
) -> None:
    [verdict] = judged(make_run("a", right=theirs), make_run("b", algorithm="dapo", right=ours))
    assert (verdict.variant, verdict.reference) == ("dapo", "grpo")
    assert (verdict.conclusion, verdict.problems, verdict.p_value_seeds) == (conclusion, len(ours), None)
    assert verdict.p_value == verdict.p_value_problems == pytest.approx(p_value)
    assert verdict.difference == pytest.approx((ours.count("1") - theirs.count("1")) / len(ours))


def test_with_several_seeds_the_larger_probability_counts(make_run: MakeRun) -> None:
    runs = [
        make_run("a", seed=0, right="00000000"),
        make_run("b", seed=1, right="11110000"),
        make_run("c", seed=0, algorithm="dapo", right="11111111"),
        make_run("d", seed=1, algorithm="dapo", right="00001111"),
    ]
    [verdict] = judged(*runs)
    # Problems 1 to 4: 0.5 against 0.5; 5 to 8: 1 against 0.
    assert verdict.p_value_problems == pytest.approx(2 / 16)
    # Means 0.75 and 0.25, variances 1/8 of two values each: t = 0.5 / sqrt(1/8), 2 degrees of freedom
    t = 0.5 / math.sqrt(1 / 8)
    assert verdict.p_value_seeds == pytest.approx(1 - t / math.sqrt(2 + t**2))
    assert verdict.p_value == verdict.p_value_seeds
    assert verdict.conclusion is Conclusion.NO_EVIDENCE


def test_seeds_that_share_problems_are_not_more_problems(make_run: MakeRun) -> None:
    def runs(seeds: int) -> list[RunRecord]:
        return [
            make_run(f"{algorithm}-{seed}", algorithm=algorithm, seed=seed, right=right)
            for algorithm, right in (("grpo", "0000"), ("dapo", "1111"))
            for seed in range(seeds)
        ]

    assert judged(*runs(1))[0].p_value_problems == judged(*runs(5))[0].p_value_problems == pytest.approx(2 / 16)


def test_only_problems_that_both_were_asked_count(make_run: MakeRun) -> None:
    [verdict] = judged(
        make_run("a", right="0000", first_problem=0), make_run("b", algorithm="dapo", right="11011", first_problem=2)
    )
    assert (verdict.problems, verdict.left_out, verdict.difference) == (2, 5, 1.0)


def test_the_same_id_with_another_text_is_another_problem(make_run: MakeRun) -> None:
    run = make_run("b", algorithm="dapo", right="1111")
    step, final = run.evaluations[1]
    other = replace(final, samples=tuple(replace(sample, prompt="another") for sample in final.samples))
    [verdict] = judged(make_run("a"), replace(run, evaluations=[(step, other)]))
    assert verdict.conclusion is Conclusion.NOT_COMPARED
    assert (verdict.problems, verdict.left_out, verdict.difference, verdict.p_value) == (0, 8, None, None)


def test_a_variant_that_is_not_evaluated_yet_is_not_compared(make_run: MakeRun) -> None:
    [verdict] = judged(make_run("a"), make_run("b", algorithm="dapo", right=None))
    assert verdict.conclusion is Conclusion.NOT_COMPARED


def test_where_nobody_judges_answers_the_scores_are_compared(make_run: MakeRun) -> None:
    [verdict] = judged(make_run("a", right="????"), make_run("b", algorithm="dapo", right="1111"))
    assert (verdict.measure, verdict.difference) == ("reward", 0.5)
    assert verdict.p_value == pytest.approx(2 / 16)


def test_several_verdicts_are_held_to_one_limit(make_run: MakeRun) -> None:
    runs = [make_run("a", right="0" * 6)]
    runs += [make_run(name, algorithm=name, right="1" * 6) for name in ("dapo", "rloo")]
    verdicts = judged(*runs)
    assert [verdict.p_value_problems for verdict in verdicts] == pytest.approx([2 / 64] * 2)
    assert [verdict.p_value for verdict in verdicts] == pytest.approx([4 / 64] * 2)
    assert {verdict.conclusion for verdict in verdicts} == {Conclusion.NO_EVIDENCE}


def test_one_variant_has_nobody_to_be_compared_with(make_run: MakeRun) -> None:
    assert judged(make_run("a"), make_run("b", seed=1)) == []
