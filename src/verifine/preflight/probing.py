"""Trying a grader without a model: on the fields of every row, and on answers known to be right or wrong."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from verifine.config import RunConfig
from verifine.config.graders import CALLABLE_TRAITS, AnyGrader, GraderTraits
from verifine.config.graders.fields import REFERENCE_FIELD
from verifine.data import PromptSampler
from verifine.graders import Grader, grade_samples
from verifine.graders.probes import (
    Probe,
    ProbeAnswer,
    ProbeResult,
    find_answers,
    find_references,
    idle_attempts,
    keep_best,
    names_field,
    right_attempts,
)
from verifine.insights.scores import Scores, collect_scores
from verifine.preflight.forms import PLAIN, asked_forms
from verifine.preflight.grading import Field, GradingFacts, Repetition, Requests, changes
from verifine.preflight.rows import RowFault, RowFaults, collect_faults, row_faults
from verifine.preflight.shortening import shorten
from verifine.types import Example, Grade

PROBED_ROWS = 16
COSTLY_ROWS = 4
"""Used instead of PROBED_ROWS if grading asks other machines, or runs a function that may do so."""

ENOUGH_S = 10.0
"""A grader that has taken this long is not tried on more rows."""

_BATCH = 256

_OWN_KIND = "a Python program's own"
_NO_REFERENCE = f"the rows have no {REFERENCE_FIELD}, and the grader names no other field"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A grader that is tried on the rows of a run."""

    grader: Grader
    config: AnyGrader | None
    """None: a Python program passed the grader in."""
    run: RunConfig
    train: Sequence[Example]
    """The rows to choose from if trying all is too expensive."""
    held_out: Sequence[Example]
    clock: Callable[[], float]
    field: Field = "grader"
    """Its place in the run's config."""

    @property
    def traits(self) -> GraderTraits:
        return CALLABLE_TRAITS if self.config is None else self.config.traits


def probe_grader(tried: Tried) -> GradingFacts:
    """Grades the right answer, empty text and nonsense on some rows, and checks every row's fields.

    A grader that does not ask other machines grades them twice.
    """
    requests = tried.traits.requests_per_answer
    probed = _probe_rows(tried, is_costly=requests > 0)
    ways = Counter(each.attempt.way for each in probed.best if each.attempt.probe is Probe.RIGHT)
    way = ways.most_common(1)[0][0] if ways else ""
    incomplete, disputed = _look_at_rows(tried, probed.best, way)
    by_probe = {probe: [each.grade for each in probed.best if each.attempt.probe is probe] for probe in Probe}
    right = collect_scores(by_probe[Probe.RIGHT]) if ways else None
    rows = [each.attempt.row for each in probed.best if each.attempt.probe is Probe.EMPTY]
    return GradingFacts(
        kind=_OWN_KIND if tried.config is None else tried.config.type,
        field=tried.field,
        incomplete=incomplete,
        disputed=disputed,
        rows=len(rows),
        right=right,
        way=way,
        asked=asked_forms(rows, way),
        unmarked=sum(_is_unmarked(tried.traits, row) for row in rows),
        misnamed=_misnamed(tried.traits, rows[0]),
        untried="" if ways else tried.traits.why_untried or _NO_REFERENCE,
        must_know=tried.traits.must_recognise_right,
        empty=collect_scores(by_probe[Probe.EMPTY]),
        nonsense=collect_scores(by_probe[Probe.NONSENSE]),
        trivial=_paid_trivia(probed.best, right),
        every=collect_scores([*probed.first, *(probed.second or ())]),
        repetition=_repetition(probed),
        seconds_per_answer=probed.seconds / len(probed.first),
        requests=_requests(tried.run, requests, probed.first),
    )


def _is_unmarked(traits: GraderTraits, row: Example) -> bool:
    """Whether the row has a right answer, and it does not say what a model should write."""
    return bool(find_references(traits, row.item)) and not find_answers(traits, row.item)


def _misnamed(traits: GraderTraits, row: Example) -> tuple[str, ...]:
    return tuple(each for each in traits.references if names_field(each, row.item))


def _paid_trivia(best: Sequence[ProbeResult], right: Scores | None) -> Mapping[str, int]:
    """The answers with the form and no content that score well, and in how many rows each is the best of them."""
    enough = 0.0 if right is None or right.mean is None else right.mean / 2
    paid = (each for each in best if each.attempt.probe is Probe.TRIVIAL and (each.grade.score or 0.0) > enough)
    return Counter(each.attempt.text for each in paid)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Probed:
    """The grades of all attempts."""

    best: list[ProbeResult]
    """The result of each row and probe, the first time."""
    first: list[Grade]
    second: list[Grade] | None
    """None: graded only once."""
    seconds: float
    """The first time."""


def _probe_rows(tried: Tried, *, is_costly: bool) -> _Probed:
    """Grades a few rows at a time, until there are enough or time is up."""
    limit = COSTLY_ROWS if is_costly or tried.config is None else PROBED_ROWS
    draws = PromptSampler(tried.train, tried.run.run.seed).draw(0, min(limit, len(tried.train)))
    attempts: list[ProbeAnswer] = []
    first: list[Grade] = []
    second: list[Grade] | None = None if is_costly else []
    begun, seconds = tried.clock(), 0.0
    for start in range(0, len(draws), COSTLY_ROWS):
        rows = [draw.example for draw in draws[start : start + COSTLY_ROWS]]
        new = [attempt for row in rows for attempt in _attempts(tried.traits, row, is_costly=is_costly)]
        samples = [attempt.sample for attempt in new]
        attempts += new
        started = tried.clock()
        first += grade_samples(tried.grader, samples)
        seconds += tried.clock() - started
        if second is not None:
            second += grade_samples(tried.grader, samples)
        if tried.clock() - begun > ENOUGH_S:
            break
    best = keep_best(ProbeResult(attempt=each, grade=grade) for each, grade in zip(attempts, first, strict=True))
    return _Probed(best=best, first=first, second=second, seconds=seconds)


def _repetition(probed: _Probed) -> Repetition | None:
    if probed.second is None:
        return None
    return changes([grade.score for grade in probed.first], [grade.score for grade in probed.second])


def _attempts(traits: GraderTraits, row: Example, *, is_costly: bool) -> Iterator[ProbeAnswer]:
    if not traits.why_untried:
        for attempt in right_attempts(traits, row):
            if attempt.way == PLAIN or not is_costly:
                yield attempt
    yield from idle_attempts(traits, row)


def _look_at_rows(tried: Tried, probed: Sequence[ProbeResult], way: str) -> tuple[RowFaults, RowFaults]:
    """The rows that cannot be graded, and those with a right answer that scores no higher than nonsense.

    The fields of every row are checked. Grades are taken from `probed`, or made for every row if that costs nothing.
    """
    if tried.config is None:
        return collect_faults(()), collect_faults(map(_dispute, _by_row(probed)))
    find_fault = row_faults(tried.config)
    if not tried.traits.is_cheap:
        incomplete = (find_fault(row) for row in itertools.chain(tried.train, tried.held_out))
        return collect_faults(incomplete), collect_faults(map(_dispute, _by_row(probed)))
    unfit: list[RowFault | None] = []
    disputed: list[RowFault | None] = []
    for row_grades in _grade_every_row(tried, way):
        unfit.append(find_fault(row_grades.row) or _refusal(row_grades))
        disputed.append(_dispute(row_grades))
    return collect_faults(unfit), collect_faults(disputed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RowGrades:
    """The grades of the best right answer to a row, and of nonsense."""

    row: Example
    right: ProbeResult | None
    """None: the row has no right answer."""
    nonsense: ProbeResult


def _grade_every_row(tried: Tried, way: str) -> Iterator[_RowGrades]:
    for rows in (tried.train, tried.held_out):
        for start in range(0, len(rows), _BATCH):
            attempts = [attempt for row in rows[start : start + _BATCH] for attempt in _short(tried.traits, row, way)]
            grades = grade_samples(tried.grader, [attempt.sample for attempt in attempts])
            pairs = zip(attempts, grades, strict=True)
            yield from _by_row(keep_best(ProbeResult(attempt=attempt, grade=grade) for attempt, grade in pairs))


def _short(traits: GraderTraits, row: Example, way: str) -> Iterator[ProbeAnswer]:
    """The right answer in one form, and nonsense."""
    every = _attempts(traits, row, is_costly=False)
    return (each for each in every if each.probe is Probe.NONSENSE or (each.probe is Probe.RIGHT and each.way == way))


def _by_row(results: Iterable[ProbeResult]) -> Iterator[_RowGrades]:
    """In the order of the rows; `results` are those of whole rows, the best of each probe."""
    found: dict[str, dict[Probe, ProbeResult]] = {}
    for result in results:
        found.setdefault(result.attempt.row.id, {})[result.attempt.probe] = result
    for probes in found.values():
        nonsense = probes[Probe.NONSENSE]
        yield _RowGrades(row=nonsense.attempt.row, right=probes.get(Probe.RIGHT), nonsense=nonsense)


def _refusal(grades: _RowGrades) -> RowFault | None:
    """Why a row cannot be graded, whatever the answer."""
    if grades.nonsense.grade.score is not None or (grades.right is not None and grades.right.grade.score is not None):
        return None
    return RowFault(place=grades.row.label, reason=grades.nonsense.grade.reason or "the grader gives no reason")


def _dispute(grades: _RowGrades) -> RowFault | None:
    if grades.right is None:
        return None
    right, nonsense = grades.right.grade.score, grades.nonsense.grade.score
    if right is None or nonsense is None or right > nonsense:
        return None
    text = grades.right.attempt.text
    shown = shorten(text)
    return RowFault(place=grades.row.label, reason=f'"{shown}" scores {right:.2f}, nonsense {nonsense:.2f}')


def _requests(run: RunConfig, per_answer: int, grades: Sequence[Grade]) -> Requests:
    sampling, algorithm = run.sampling, run.algorithm
    fewest, most = sampling.answers_per_prompt
    per_step = per_answer * sampling.prompts_per_step * fewest
    rounds = 1 + (0 if algorithm.recipe.group_filter is None else algorithm.max_resample)
    used = [usage.prompt + usage.completion for grade in grades for usage in grade.usage.values()]
    return Requests(
        per_answer=per_answer,
        tokens_per_answer=sum(used) / len(grades) if used else None,
        per_step=per_step,
        per_step_at_most=rounds * per_step * most // fewest,
        per_run=None if run.run.steps is None else run.run.steps * per_step,
    )
