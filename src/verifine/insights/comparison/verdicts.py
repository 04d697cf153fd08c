"""Is a variant better than another on the held-out problems that both have, or can the difference be chance?

Chance has two sources, and a verdict has to rule out both. *Problems*: every problem is averaged over the seeds of a
variant, and the differences go through the exact sign-flip test (with one run on each side, McNemar's test). This test
ignores that other seeds could differ: three runs that share 64 problems are not 192 independent answers. *Seeds*: with
two seeds on each side, Welch's test compares the seeds' accuracies. The larger p-value counts, so a variant is called
better only if neither source explains the difference. Every variant is compared with the first one, which is chosen
before the results are known, and the p-values are corrected for the number of verdicts (Holm).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from verifine.insights.comparison.variants import Variant
from verifine.insights.inference import Conclusion, conclude, holm, paired_test, welch_test
from verifine.runs.evaluations import NAMES, Measure, decisive

Problem: TypeAlias = tuple[str, str]
"""The id and the text: with another data file, the same id can be another problem."""

Answers: TypeAlias = Mapping[Problem, float]
"""The values of answers, without those that were not judged or could not be scored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantVerdict:
    """A variant compared with the reference."""

    variant: str
    reference: str
    measure: str
    """What was compared, by its name in `Evaluation.numbers`."""
    conclusion: Conclusion
    problems: int
    """The number of problems that both have."""
    left_out: int
    """The number of problems that only one of them has."""
    difference: float | None = None
    """The variant's average minus the reference's, over these problems; None: not compared. The same below."""
    p_value_problems: float | None = None
    p_value_seeds: float | None = None
    """None also if a side has one seed: the effect of the seed is then not known."""
    p_value: float | None = None
    """The larger of the two, corrected for the number of verdicts."""


def judge_variants(variants: Sequence[Variant]) -> list[VariantVerdict]:
    """Compares every other variant with the first."""
    measure = common_measure(variants)
    verdicts = [_judge(variant, variants[0], measure) for variant in variants[1:]]
    compared = [verdict for verdict in verdicts if verdict.p_value is not None]
    corrected = iter(holm([verdict.p_value for verdict in compared if verdict.p_value is not None]))
    return [verdict if verdict.p_value is None else _conclude(verdict, next(corrected)) for verdict in verdicts]


def common_measure(variants: Sequence[Variant]) -> Measure:
    """The decisive measure among those that every evaluation has."""
    finals = [run.final for variant in variants for run in variant.runs if run.final is not None]
    return (decisive(*finals) if finals else None) or "reward"


def _judge(variant: Variant, reference: Variant, measure: Measure) -> VariantVerdict:
    our_answers, their_answers = _answers(variant, measure), _answers(reference, measure)
    ours, theirs = _by_problem(variant, our_answers), _by_problem(reference, their_answers)
    shared = dict.fromkeys(problem for problem in ours if problem in theirs)
    verdict = VariantVerdict(
        variant=variant.name,
        reference=reference.name,
        measure=NAMES[measure],
        conclusion=Conclusion.NOT_COMPARED,
        problems=len(shared),
        left_out=len(ours) + len(theirs) - 2 * len(shared),
    )
    if not shared:
        return verdict
    differences = [ours[problem] - theirs[problem] for problem in shared]
    p_value_problems = paired_test(differences)
    our_seeds, their_seeds = _of_seeds(variant, our_answers, shared), _of_seeds(reference, their_answers, shared)
    p_value_seeds = welch_test(our_seeds, their_seeds) if min(len(our_seeds), len(their_seeds)) > 1 else None
    return replace(
        verdict,
        difference=_mean(differences),
        p_value_problems=p_value_problems,
        p_value_seeds=p_value_seeds,
        p_value=max(p_value_problems, p_value_seeds or 0.0),
    )


def _conclude(verdict: VariantVerdict, p_value: float) -> VariantVerdict:
    """With the corrected p-value, and the conclusion from it."""
    return replace(verdict, p_value=p_value, conclusion=conclude(verdict.difference or 0.0, p_value))


def _answers(variant: Variant, measure: Measure) -> list[Answers]:
    """The average value of each run's answers to a problem."""
    return [
        {}
        if run.final is None
        else {
            (problem.prompt_id, problem.prompt): worth
            for problem in run.final.problems
            if (worth := problem.average(measure)) is not None
        }
        for run in variant.runs
    ]


def _by_problem(variant: Variant, answers: Sequence[Answers]) -> Answers:
    """Each problem's average over the seeds that have it."""
    problems = dict.fromkeys(problem for each in answers for problem in each)
    return {problem: _mean(variant.by_seed([each.get(problem) for each in answers])) for problem in problems}


def _of_seeds(variant: Variant, answers: Sequence[Answers], problems: Collection[Problem]) -> list[float]:
    """Each seed's average over those problems that it has."""
    asked = [[worth for problem, worth in each.items() if problem in problems] for each in answers]
    return variant.by_seed([_mean(worths) if worths else None for worths in asked])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
