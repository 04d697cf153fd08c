"""A report as text for readers who do not know the method: a section for each part, findings, and the verdict."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from verifine.insights.findings import CheckVerdict, Finding, Severity
from verifine.insights.outcome import pluralize
from verifine.insights.scores import Scores
from verifine.preflight.forms import PLAIN, times_asked
from verifine.preflight.grading import GradingFacts, Repetition
from verifine.preflight.histogram import draw_bars, mean_bars, share_bars
from verifine.preflight.memory import MemoryEstimate, describe_bytes
from verifine.preflight.pace import PaceEstimate, describe_span
from verifine.preflight.report import Report
from verifine.preflight.sampling import SamplingFacts
from verifine.preflight.shortening import shorten

WIDTH = 110
_INDENT = "  "
_SHOWN_CHARACTERS = 90

_MARKS: Mapping[Severity, str] = {Severity.BLOCKER: "✗", Severity.WARNING: "!", Severity.NOTE: "·"}


def describe_report(report: Report) -> str:
    """The whole report."""
    title = f"Before training: {report.config.algorithm.name.upper()} on {report.config.model.name}"
    sections = [
        ("Data", _data(report)),
        (f"Grader ({report.grading.kind})", _grading(report.grading)),
        ("Base model", _sampling(report)),
        ("This machine", _machine(report)),
        ("Findings", _findings(report.findings)),
    ]
    lines = [title]
    for heading, section in sections:
        if content := list(section):
            lines += ["", heading, *(f"{_INDENT}{line}" for line in content)]
    text = "\n".join([*lines, "", describe_verdict(report)])
    # A model can write half of a surrogate pair, which no terminal takes.
    return text.encode(errors="replace").decode()


def describe_verdict(report: Report) -> str:
    """The verdict in a sentence."""
    severities = [finding.severity for finding in report.findings]
    warnings = pluralize(severities.count(Severity.WARNING), "warning")
    match report.verdict:
        case CheckVerdict.GO:
            return "Verdict: go, training can begin."
        case CheckVerdict.GO_WITH_WARNINGS:
            return f"Verdict: go, with {warnings}."
        case CheckVerdict.NO_GO:
            blockers = pluralize(severities.count(Severity.BLOCKER), "blocker")
            others = f" and {warnings}" if Severity.WARNING in severities else ""
            return f"Verdict: no-go, with {blockers} to fix first{others}."


def _data(report: Report) -> Iterator[str]:
    data = report.data
    origin = " (drawn from the training data)" if data.is_carved_out and data.held_out_rows else ""
    yield f"{pluralize(data.train_rows, 'row')} to train on, {data.held_out_rows} held out{origin}"
    if data.fields:
        yield f"fields for the grader: {', '.join(data.fields)}"
    lengths, model, config = report.lengths, report.model, report.resolved
    if lengths is not None and model is not None and config is not None:
        span = f"{lengths.shortest} to {lengths.longest} tokens, half of them up to {lengths.median}"
        all_alike = lengths.shortest == lengths.longest
        prompts = f"{lengths.longest} tokens" if all_alike else span
        yield f"prompts have {prompts}; {config.sampling.max_new_tokens} more are kept for the answer"
        yield f"the model reads {model.context_length} tokens"


def _grading(facts: GradingFacts) -> Iterator[str]:
    if facts.incomplete.rows and not facts.incomplete.count:
        yield f"finds the fields it reads in all {facts.incomplete.rows} rows"
    if facts.right is not None:
        yield f"right answer  {_score(facts.right.mean)}   (written as: {facts.way}{_asked(facts)})"
    yield f"empty text    {_score(facts.empty.mean)}"
    yield f"nonsense      {_score(facts.nonsense.mean)}   mean over {pluralize(facts.rows, 'row')}"
    yield f"{_repetition(facts.repetition)}, {_seconds(facts.seconds_per_answer)} an answer{_latency(facts.every)}"


def _asked(facts: GradingFacts) -> str:
    """Whether the prompts ask for the form of the right answer; nothing where it has none."""
    if facts.way == PLAIN:
        return ""
    asked = times_asked(facts.way, facts.asked)
    others = ", ".join(form for form in facts.asked if form not in facts.way)
    instead = f"; {others} is there" if others and not asked else ""
    return f"; asked for in {asked} of {pluralize(facts.rows, 'prompt')}{instead}"


def _repetition(repetition: Repetition | None) -> str:
    if repetition is None:
        return "not graded a second time, because it asks a judge or a service"
    same = "the same scores" if not repetition.changed else f"{repetition.changed} other scores"
    return f"{same} the second time"


def _latency(scores: Scores) -> str:
    half, most = scores.latency_s(0.5), scores.latency_s(0.95)
    return "" if half is None or most is None else f" (half of them in {_seconds(half)}, 95 % in {_seconds(most)})"


def _sampling(report: Report) -> Iterator[str]:
    facts = report.sampling
    if facts is None:
        if report.verdict is CheckVerdict.NO_GO:
            yield "not asked: fix the findings below first"
        return
    sampling, scores = report.config.sampling, facts.scores
    asked = f"{pluralize(facts.answers, 'answer')} to {pluralize(facts.prompts, 'prompt')}"
    yield f"{asked} at temperature {sampling.temperature:g}"
    yield ", ".join(_answers_in_numbers(facts))
    if facts.prompt_rates and scores.lowest is not None and scores.highest is not None:
        yield "prompts by their share of right answers:" if facts.judges_answers else "prompts by their mean score:"
        bars = (
            share_bars(facts.prompt_rates)
            if facts.judges_answers
            else mean_bars(facts.prompt_rates, scores.lowest, scores.highest)
        )
        yield from (f"{_INDENT}{line}" for line in draw_bars(bars))
    if report.config.compares_within_groups and facts.samples > 1:
        low, high = facts.useful_groups(sampling.prompts_per_step)
        yield (
            f"{facts.groups_with_signal} of {pluralize(facts.prompts, 'prompt')} got answers with different rewards; "
            f"expect {low:.0f} to {high:.0f} of the {sampling.prompts_per_step} in a step"
        )
    for shown in facts.shown:
        yield f"{_score(shown.score)}  {_short(shown.prompt)} → {_short(shown.text) or '(nothing)'}"


def _answers_in_numbers(facts: SamplingFacts) -> Iterator[str]:
    scores = facts.scores
    yield f"mean score {_score(scores.mean)}"
    if scores.answer_accuracy is not None:
        yield f"{scores.answer_accuracy:.0%} right"
    if scores.format_accuracy is not None:
        yield f"{scores.format_accuracy:.0%} in the right format"
    yield f"{facts.mean_tokens:.1f} tokens each"
    yield f"{facts.truncated:.0%} cut off"
    if scores.unscorable:
        yield f"{scores.unscorable} could not be scored"


def _machine(report: Report) -> Iterator[str]:
    if report.pace is not None:
        yield from _pace(report.pace, report.config.run.steps)
    if report.memory is not None:
        yield from _memory(report.memory)


def _pace(pace: PaceEstimate, steps: int | None) -> Iterator[str]:
    yield (
        f"a step takes {describe_span(pace.step)}: sampling {describe_span(pace.sampling)} and grading "
        f"{describe_span(pace.grading)} (measured),"
    )
    yield f"{_INDENT}learning {describe_span(pace.update)} (estimated from a measured forward pass)"
    if pace.total is not None and steps is not None:
        yield f"{pluralize(steps, 'step')} and the evaluations take {describe_span(pace.total)}"


def _memory(memory: MemoryEstimate) -> Iterator[str]:
    usual, most = describe_bytes(memory.usual), describe_bytes(memory.most)
    span = usual if usual == most else f"{usual}, at most {most}"
    yield f"{span} of {describe_bytes(memory.available.size)} {memory.available.place} (estimated):"
    parts = [f"{name} {describe_bytes(size)}" for name, size in memory.resident.items()]
    yield f"{_INDENT}{', '.join([*parts, f'a step {describe_bytes(memory.step)}'])}"


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        mark = _MARKS[finding.severity]
        label = "" if finding.severity is Severity.NOTE else f"{finding.severity.value}: "
        yield from _wrapped(f"{mark} {label}{finding.what}", "  ")
        for line in finding.evidence.splitlines():
            yield from _wrapped(f"    {line}", "      ")
        for remedy in finding.remedies:
            yield from _wrapped(f"    → {remedy}", "      ")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:.2f}"


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _short(text: str) -> str:
    return shorten(" ".join(text.split()), _SHOWN_CHARACTERS)
