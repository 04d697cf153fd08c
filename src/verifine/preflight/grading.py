"""The check's facts about a grader, found without a model, and the findings from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from verifine.insights.findings import Finding, Severity
from verifine.insights.outcome import pluralize
from verifine.insights.scores import SAME_SCORE, Scores
from verifine.preflight.forms import PLAIN, times_asked
from verifine.preflight.rows import RowFaults
from verifine.training.budget import BUDGET_SHARE

Field: TypeAlias = Literal["grader", "evaluation.grader"]

SHOWN_REASONS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """The same answers, graded a second time."""

    answers: int
    changed: int
    """Answers with a different score."""
    largest: float
    """The largest change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """A grader's requests to other machines."""

    per_answer: int
    """0: it asks no other machine."""
    tokens_per_answer: float | None
    """What judges read and wrote in the check, on average; None: they did not report it."""
    per_step: int
    """For the answers of one step."""
    per_step_at_most: int
    """Including answers that are sampled to replace groups without signal."""
    per_run: int | None
    """For all steps, without evaluations and resampling; None: the number of steps is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradingFacts:
    """How the grader scores answers that no model wrote."""

    kind: str
    """Its type, or a note that a Python program passed it in."""
    field: Field
    """Its place in the config: `grader`, or `evaluation.grader`, which is used in evaluations only."""
    incomplete: RowFaults
    """Rows without a field that the grader reads, or with one that it cannot use."""
    disputed: RowFaults
    """Rows with a right answer that scores no higher than nonsense; all rows are checked if grading costs nothing."""
    rows: int
    """Rows for which the right answer, empty text and nonsense were graded."""
    right: Scores | None
    """Scores of the right answers, each written in the way that scores best. None: they could not be tried."""
    way: str
    """The way of writing the right answer that scored best most often."""
    asked: Mapping[str, int]
    """The forms of an answer that the prompts of these rows have marks of, and in how many rows."""
    unmarked: int
    """Rows whose right answer is a worked solution that does not mark its answer."""
    misnamed: tuple[str, ...]
    """References without braces that are names of fields, so that the name itself is compared."""
    untried: str
    """Why the right answer could not be tried; empty: it was."""
    must_know: bool
    """Whether a right answer has to score high with this type of grader, whatever its settings."""
    empty: Scores
    nonsense: Scores
    trivial: Mapping[str, int]
    """Answers without content in the form that the grader wants, and in how many of the rows they score well.

    Well is above 0, and above half of what the right answer scores where that is known.
    """
    every: Scores
    """All scores, of answers that were graded twice both."""
    repetition: Repetition | None
    """None: not tried, since the grader asks other machines, which may cache their answers."""
    seconds_per_answer: float
    """Measured the first time, with as many at once as the grader allows."""
    requests: Requests

    @property
    def trains(self) -> bool:
        """Whether it is the training grader."""
        return self.field == "grader"

    @property
    def name(self) -> str:
        return "grader" if self.trains else "second grader"

    @property
    def with_it(self) -> str:
        """Added to a sentence if it is about the second grader."""
        return "" if self.trains else f" with the {self.name}"

    @property
    def unscored(self) -> str:
        """What happens with answers that it cannot score."""
        if self.trains:
            return f"A run ends when more than {BUDGET_SHARE:.0%} of its answers cannot be scored."
        return "Evaluations leave out what it cannot score."

    @property
    def recognised(self) -> float | None:
        """The score of a right answer; None: it was not tried, or is not above that of wrong answers."""
        right = None if self.right is None else self.right.mean
        wrong = [mean for mean in (self.empty.mean, self.nonsense.mean) if mean is not None]
        if not self.must_know or right is None or not wrong or right <= max(wrong):
            return None
        return right


def judge_grading(facts: GradingFacts) -> list[Finding]:
    """All findings; of each kind only the most severe."""
    found = [
        *_rows(facts),
        *_unscorable(facts),
        *_references(facts),
        *_right(facts),
        *_form(facts),
        *_trivial(facts),
        *_repetition(facts),
        *_requests(facts.requests),
    ]
    if facts.trains:
        return found
    # A run trains without the second grader, so nothing about it is a blocker.
    return [
        replace(finding, name=f"second_{finding.name}", severity=Severity.WARNING)
        for finding in found
        if finding.severity is not Severity.NOTE
    ]


def _rows(facts: GradingFacts) -> Iterator[Finding]:
    incomplete, disputed = facts.incomplete, facts.disputed
    if incomplete.count:
        yield Finding(
            severity=Severity.BLOCKER if incomplete.share > BUDGET_SHARE else Severity.WARNING,
            name="incomplete_rows",
            what=f"{pluralize(incomplete.count, 'row')} of {incomplete.rows} cannot be graded{facts.with_it}, "
            "whatever the answer.",
            evidence=incomplete.describe(),
            remedies=(
                f"Fix or remove these rows, or let the {facts.name} read what every row has ({facts.field}). "
                f"{facts.unscored}",
            ),
        )
    if 0 < disputed.count < disputed.rows:
        yield Finding(
            severity=Severity.WARNING,
            name="disputed_rows",
            what=f"The right answer to {disputed.count} of {disputed.rows} rows scores no higher than "
            f"nonsense{facts.with_it}.",
            evidence=disputed.describe(),
            remedies=(
                f"Fix the right answers of these rows, or let the {facts.name} accept how they are written "
                f"({facts.field}).",
            ),
        )


def _unscorable(facts: GradingFacts) -> Iterator[Finding]:
    every = facts.every
    if not every.unscorable or facts.incomplete.share == 1:
        return
    reasons = "\n".join(f"{reason} ({times} times)" for reason, times in every.reasons[:SHOWN_REASONS])
    if not every.scored:
        yield Finding(
            # A grader may rightly refuse text that is not an answer; the answers of the model are graded later.
            severity=Severity.WARNING if facts.right is None else Severity.BLOCKER,
            name="nothing_scorable",
            what=f"The {facts.name} could not score a single answer.",
            evidence=f"{pluralize(every.count, 'answer')}:\n{reasons}",
            remedies=(f"Fix the {facts.name}; `verifine grade run` tries it on one answer.",),
        )
    elif not facts.incomplete.count and every.unscorable > BUDGET_SHARE * every.count:
        yield Finding(
            severity=Severity.WARNING,
            name="unscorable_answers",
            what=f"The {facts.name} could not score {every.unscorable} of {every.count} answers.",
            evidence=reasons,
            remedies=(f"Fix the {facts.name}. {facts.unscored}",),
        )


def _right(facts: GradingFacts) -> Iterator[Finding]:
    if facts.right is None and not facts.unmarked:
        yield Finding(
            severity=Severity.NOTE,
            name="right_answer_untried",
            what=f"Whether the {facts.name} knows a right answer could not be tried.",
            evidence=facts.untried,
            remedies=(),
        )
    if facts.right is None:
        return
    right, empty, nonsense = facts.right.mean, facts.empty.mean, facts.nonsense.mean
    wrong = [mean for mean in (empty, nonsense) if mean is not None]
    if right is None or not wrong:
        return
    evidence = (
        f"mean score over {pluralize(facts.rows, 'row')}: right answer {right:.2f}, empty text {_mean(empty)}, "
        f"nonsense {_mean(nonsense)}"
    )
    if right <= max(wrong):
        yield _undecided(facts, evidence)
    elif facts.trains and right > 0 and max(wrong) > right / 2:
        yield Finding(
            severity=Severity.WARNING,
            name="wrong_scores_high",
            what="Empty or meaningless answers score more than half as much as the right answer.",
            evidence=evidence,
            remedies=(
                "Let the grader give less for text that is not an answer (for example a smaller format_weight), or the "
                "model may learn to write just that.",
            ),
        )


def _references(facts: GradingFacts) -> Iterator[Finding]:
    for name in facts.misnamed:
        yield Finding(
            severity=Severity.WARNING,
            name="reference_is_a_name",
            what=f'The {facts.name} compares answers with the text "{name}" itself, not with the field of that name.',
            evidence="",
            remedies=(f"Write {{{{ item.{name} }}}} ({facts.field}.reference).",),
        )
    if facts.unmarked:
        yield Finding(
            severity=Severity.WARNING,
            name="unmarked_answers",
            what=f"The right answers of {facts.unmarked} of {pluralize(facts.rows, 'row')} are texts of several lines "
            f"that mark no answer, so whether the {facts.name} knows a right answer cannot be tried.",
            evidence="no model writes such a text word for word",
            remedies=(
                "End each with its answer (#### 72, \\boxed{72}, or a last line with it), or put the answer into a "
                f"field of its own ({facts.field}.reference).",
            ),
        )


def _form(facts: GradingFacts) -> Iterator[Finding]:
    """The right answer scores in a form that most prompts do not ask for."""
    asked = times_asked(facts.way, facts.asked)
    if facts.recognised is None or facts.way == PLAIN or 2 * asked >= facts.rows:
        return
    forms = ", ".join(f"{form} ({count})" for form, count in facts.asked.items())
    yield Finding(
        severity=Severity.WARNING,
        name="form_not_asked",
        what=f"The {facts.name} knows a right answer that is written as {facts.way}, and "
        f"{asked or 'none'} of {pluralize(facts.rows, 'prompt')} {'ask' if asked > 1 else 'asks'} for that.",
        evidence=f"what the prompts ask for: {forms or 'no form that is known here'}",
        remedies=(
            "Say in the prompts how to answer (data.system_prompt), or take a grader that reads what they ask for "
            f"({facts.field}).",
        ),
    )


def _trivial(facts: GradingFacts) -> Iterator[Finding]:
    if not facts.trivial:
        return
    answer, rows = max(facts.trivial.items(), key=lambda pair: pair[1])
    yield Finding(
        severity=Severity.WARNING,
        name="trivial_answer_pays",
        what=f"The answer {answer}, which says nothing, scores well{facts.with_it}.",
        evidence=f"in {rows} of {pluralize(facts.rows, 'row')}",
        remedies=(
            "Let the schema demand more, for example with required and minLength, or the model may learn to write just "
            "that.",
        ),
    )


def _undecided(facts: GradingFacts, evidence: str) -> Finding:
    """The right answer scores no higher than wrong ones."""
    if facts.must_know:
        return Finding(
            severity=Severity.BLOCKER,
            name="cannot_tell_right",
            what=f"The {facts.name} cannot tell right from wrong.",
            evidence=evidence,
            remedies=(
                f"Look at what it compares ({facts.field}.input, {facts.field}.reference) and at the rows' right "
                "answers; `verifine grade test` shows single rows.",
            ),
        )
    return Finding(
        severity=Severity.WARNING,
        name="right_answer_not_recognised",
        what=f"The right answer scores no more than nonsense{facts.with_it}, however it was written.",
        evidence=evidence,
        remedies=(
            "If the grader expects another form, ignore this; else fix it. `verifine grade run` shows "
            "how it grades one answer.",
        ),
    )


def _repetition(facts: GradingFacts) -> Iterator[Finding]:
    repetition = facts.repetition
    if repetition is None or not repetition.changed:
        return
    yield Finding(
        severity=Severity.WARNING,
        name="scores_change",
        what=f"The {facts.name} gives the same answer different scores.",
        evidence=f"{repetition.changed} of {pluralize(repetition.answers, 'answer')} graded twice changed, by up to "
        f"{repetition.largest:.2g}",
        remedies=(
            "A grader must not use random numbers, nor depend on the time or on earlier grades. What "
            f"changes by chance {'is learned as if it were earned' if facts.trains else 'blurs what evaluations say'}.",
        ),
    )


def _requests(requests: Requests) -> Iterator[Finding]:
    if not requests.per_answer:
        return
    evidence = [f"{pluralize(requests.per_answer, 'request')} an answer"]
    if requests.per_step_at_most > requests.per_step:
        evidence.append(f"up to {requests.per_step_at_most:,} a step where groups are sampled again")
    if requests.tokens_per_answer is not None:
        tokens = requests.tokens_per_answer * requests.per_step / requests.per_answer
        evidence.append(f"about {tokens:,.0f} tokens a step")
    in_all = "" if requests.per_run is None else f", {requests.per_run:,} in all steps"
    yield Finding(
        severity=Severity.NOTE,
        name="asks_others",
        what=f"The grader asks a judge or a service {requests.per_step:,} times a step{in_all}.",
        evidence="; ".join(evidence),
        remedies=(),
    )


def _mean(value: float | None) -> str:
    return "unscorable" if value is None else f"{value:.2f}"


def changes(first: Sequence[float | None], second: Sequence[float | None]) -> Repetition:
    """Compares the scores of the same answers; None is unscorable."""
    pairs = list(zip(first, second, strict=True))
    moves = [abs(before - after) for before, after in pairs if before is not None and after is not None]
    appeared = sum((before is None) != (after is None) for before, after in pairs)
    return Repetition(
        answers=len(pairs),
        changed=sum(move > SAME_SCORE for move in moves) + appeared,
        largest=max(moves, default=0.0),
    )
