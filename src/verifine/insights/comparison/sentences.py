"""A comparison in sentences and tables, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.insights.comparison.results import BeforeAfter, SourcedInterval, Spread
from verifine.insights.comparison.run_comparison import Entry, RunComparison
from verifine.insights.comparison.variants import value_text
from verifine.insights.comparison.verdicts import VariantVerdict
from verifine.insights.inference import SIGNIFICANCE, Conclusion
from verifine.insights.outcome import describe_probability, pluralize
from verifine.insights.panels import ANSWER, FORMAT, REWARD
from verifine.runs.evaluations import NAMES, Measure

_NONE = "-"
_TOLD_ONE_BY_ONE = 3
_LONGEST_CELL = 60
_MEASURES: Mapping[str, str] = {
    NAMES["answer"]: "answer accuracy",
    NAMES["reward"]: "average reward",
    NAMES["second_score"]: "score by the second grader",
    NAMES["second_answer"]: "answer accuracy by the second grader",
}
_CONCLUSIONS: Mapping[Conclusion, str] = {
    Conclusion.BETTER: "better",
    Conclusion.WORSE: "worse",
    Conclusion.NO_EVIDENCE: "without evidence of a difference",
    Conclusion.NOT_COMPARED: "not compared",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Texts, ready to print."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def describe_comparison(comparison: RunComparison) -> str:
    """Which variant is better, in a sentence."""
    verdicts = comparison.verdicts
    if not verdicts:
        runs = pluralize(comparison.entries[0].result.runs, "run")
        return f"{runs} of {comparison.entries[0].variant.name}; there is nothing to compare it with."
    if len(verdicts) == 1:
        return _sentence(verdicts[0])
    beside = f"Held-out {describe_measure(comparison)} compared with {verdicts[0].reference}"
    if len(verdicts) <= _TOLD_ONE_BY_ONE:
        return f"{beside}: {'; '.join(f'{verdict.variant} {_clause(verdict)}' for verdict in verdicts)}."
    found = {each: sum(verdict.conclusion is each for verdict in verdicts) for each in Conclusion}
    parts = [f"{number} {_CONCLUSIONS[each]}" for each, number in found.items() if number]
    return f"{beside}: of {len(verdicts)} variants {', '.join(parts)}."


def describe_measure(comparison: RunComparison) -> str:
    """The measure that the verdicts are about."""
    return _MEASURES[comparison.verdicts[0].measure] if comparison.verdicts else _MEASURES[NAMES["answer"]]


def name_measure(measure: Measure) -> str:
    """What people call a measure that runs are compared by."""
    return _MEASURES[NAMES[measure]]


def difference_table(comparison: RunComparison) -> Table:
    """The settings that differ between the variants."""
    return Table(
        columns=("", *(entry.variant.name for entry in comparison.entries)),
        rows=tuple(
            (row.key, *(_NONE if value is None else _one_line(value_text(value)) for value in row.values))
            for row in comparison.differences
        ),
    )


def result_table(comparison: RunComparison) -> Table:
    """A row for each variant. The interval is that of the compared number, after training."""
    main = (
        ANSWER if any(entry.result.moves[ANSWER.metric].after is not None for entry in comparison.entries) else REWARD
    )
    others = [panel for panel in (FORMAT, REWARD) if panel is not main]
    return Table(
        columns=(
            "variant",
            "runs",
            main.title.lower(),
            "95 % interval",
            *(panel.title.lower() for panel in others),
            "length",
            "steps",
            "minutes",
        ),
        rows=tuple(
            (
                entry.variant.name,
                _runs(entry),
                _move(entry.result.moves[main.metric]),
                _interval(entry.result.moves[main.metric].interval),
                *(_move(entry.result.moves[panel.metric]) for panel in others),
                _NONE if entry.result.length is None else f"{entry.result.length.mean:.1f}",
                describe_range(entry.result.steps, 0),
                describe_range(entry.result.minutes, 1),
            )
            for entry in comparison.entries
        ),
    )


def verdict_table(comparison: RunComparison) -> Table:
    """A row for every variant but the first."""
    return Table(
        columns=("variant", "verdict", "difference", "problems", "p (problems)", "p (seeds)", "p"),
        rows=tuple(
            (
                verdict.variant,
                _conclusion(verdict),
                _NONE if verdict.difference is None else f"{verdict.difference:+.2f}",
                str(verdict.problems),
                _probability(verdict.p_value_problems),
                _probability(verdict.p_value_seeds),
                _probability(verdict.p_value),
            )
            for verdict in comparison.verdicts
        ),
    )


def run_table(comparison: RunComparison) -> Table:
    """A row for every run."""
    return Table(
        columns=("run", "variant", "seed", "steps", "minutes", "ending"),
        rows=tuple(
            (
                run.name,
                entry.variant.name,
                str(run.config.run.seed),
                str(run.steps),
                _NONE if run.duration_s is None else f"{run.duration_s / 60:.1f}",
                (run.ending or "not finished").replace("_", " "),
            )
            for entry in comparison.entries
            for run in entry.variant.runs
        ),
    )


def explain_verdicts(comparison: RunComparison) -> str:
    """What the columns of `verdict_table` mean."""
    reference, measure = comparison.entries[0].variant.name, describe_measure(comparison)
    corrected = f", corrected for {len(comparison.verdicts)} verdicts (Holm)" if len(comparison.verdicts) > 1 else ""
    return (
        f"Held-out {measure} compared with {reference}, the first variant, on the problems that both have. "
        "p (problems): exact sign-flip test over the problems, each averaged over seeds. p (seeds): Welch's test over "
        f"the seeds, where each side has two. p: the larger of them{corrected}; better or worse needs p of at most "
        f"{SIGNIFICANCE:g}."
    )


def describe_range(spread: Spread | None, digits: int) -> str:
    """`40 to 43`, or one number if all runs have it."""
    if spread is None:
        return _NONE
    low, high = f"{spread.low:.{digits}f}", f"{spread.high:.{digits}f}"
    return low if low == high else f"{low} to {high}"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_CELL else line[: _LONGEST_CELL - 1] + "…"


def _sentence(verdict: VariantVerdict) -> str:
    if verdict.difference is None:
        return f"{verdict.variant} and {verdict.reference} have no held-out problem in common to compare them on."
    difference = f"{verdict.difference:+.2f} held-out {_MEASURES[verdict.measure]}"
    evidence = f"({difference} on {pluralize(verdict.problems, 'problem')}, {_evidence(verdict)})"
    if verdict.conclusion is Conclusion.NO_EVIDENCE:
        return f"There is no evidence that {verdict.variant} differs from {verdict.reference} {evidence}."
    return f"{verdict.variant} is {verdict.conclusion.value} than {verdict.reference} {evidence}."


def _clause(verdict: VariantVerdict) -> str:
    if verdict.difference is None:
        return _CONCLUSIONS[verdict.conclusion]
    return f"{_CONCLUSIONS[verdict.conclusion]} ({verdict.difference:+.2f}, {_evidence(verdict)})"


def _evidence(verdict: VariantVerdict) -> str:
    seeds = ", one seed only" if verdict.p_value_seeds is None else ""
    return f"{describe_probability(1.0 if verdict.p_value is None else verdict.p_value)}{seeds}"


def _conclusion(verdict: VariantVerdict) -> str:
    is_sure = verdict.conclusion in (Conclusion.BETTER, Conclusion.WORSE)
    return f"{verdict.conclusion.value}{', one seed' if is_sure and verdict.p_value_seeds is None else ''}"


def _runs(entry: Entry) -> str:
    result = entry.result
    return str(result.runs) if result.evaluated == result.runs else f"{result.runs}, {result.evaluated} evaluated"


def _move(move: BeforeAfter) -> str:
    texts = [_NONE if value is None else f"{value:.2f}" for value in (move.before, move.after)]
    return _NONE if texts == [_NONE, _NONE] else " → ".join(texts)


def _interval(interval: SourcedInterval | None) -> str:
    if interval is None:
        return _NONE
    return f"{interval.low:.2f} to {interval.high:.2f} over {interval.n} {interval.source.value}"


def _probability(p_value: float | None) -> str:
    return _NONE if p_value is None else describe_probability(p_value).removeprefix("p = ").removeprefix("p ")
