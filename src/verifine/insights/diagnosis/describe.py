"""Findings as text for people: on a terminal, in a log, in the report."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from verifine.insights.diagnosis.groups import GROUPS
from verifine.insights.diagnosis.history import OPENING, RECENT, Window
from verifine.insights.findings import Finding, Severity
from verifine.insights.outcome import pluralize
from verifine.insights.text_table import text_table
from verifine.runs.metrics import explain_metrics
from verifine.runs.record import RunRecord

WIDTH = 110
_INDENT = "    "

MARKS: Mapping[Severity, str] = {Severity.PROBLEM: "✗", Severity.WARNING: "!", Severity.NOTE: "·"}

_BEFORE = ("_at_first", "_at_best", "_before", "_usually")
"""Endings of the names of earlier values that a number is compared with."""

_VITALS = (
    "reward",
    "answer_accuracy",
    "format_accuracy",
    "frac_reward_zero_std",
    *GROUPS,
    "completions/mean_length",
    "completions/clipped_ratio",
    "completions/entropy_estimate",
    "entropy",
    "entropy_top_fifth",
    "kl",
    "grad_norm",
    "grader/error_rate",
)
"""The main numbers of a run."""


def describe_finding(finding: Finding, width: int = WIDTH) -> str:
    """The finding, its numbers, and a line for each thing to change."""
    mark, evidence = MARKS[finding.severity], describe_evidence(finding)
    lines = _wrapped(f"{mark} {finding.name}: {finding.what}", "  ", width)
    if evidence:
        steps = "" if finding.steps is None else f" ({describe_steps(finding.steps)})"
        lines += _wrapped(f"{_INDENT}{evidence}{steps}", f"{_INDENT}  ", width)
    for change in finding.remedies:
        lines += _wrapped(f"{_INDENT}→ {change}", f"{_INDENT}  ", width)
    return "\n".join(lines)


def describe_evidence(finding: Finding) -> str:
    """`entropy 1.27 → 0.04, answer_accuracy 31% → 67%`."""
    if finding.evidence:
        return finding.evidence
    numbers = finding.numbers
    parts = []
    for name, value in numbers.items():
        if any(name.endswith(ending) and name.removesuffix(ending) in numbers for ending in _BEFORE):
            continue
        earlier = [f"{name}{ending}" for ending in _BEFORE if f"{name}{ending}" in numbers]
        values = [*(numbers[each] for each in earlier), value]
        parts.append(f"{name} {' → '.join(describe_number(name, each) for each in values)}")
    return ", ".join(parts)


def describe_steps(steps: tuple[int, int] | None) -> str:
    """`step 7`, `steps 31 to 50`; empty: not about steps."""
    if steps is None:
        return ""
    first, last = steps
    if first == last:
        return f"step {last}" if last else "no step yet"
    return f"steps {first} to {last}"


def describe_number(name: str, value: float) -> str:
    """A share in percent, everything else in three digits."""
    is_share = any(metric.unit == "share" for metric in explain_metrics([name]))
    return f"{value:.0%}" if is_share else f"{value:.3g}"


def describe_health(findings: Sequence[Finding], steps: int) -> str:
    """A summary of all findings, in a sentence; `steps` is the number of steps that were examined."""
    if not findings:
        return f"Nothing stands out in {pluralize(steps, 'step')}." if steps else "No step is done yet."
    severities = [finding.severity for finding in findings]
    counts = [pluralize(number, severity.value) for severity in Severity if (number := severities.count(severity))]
    return f"{' and '.join(counts)} in {pluralize(steps, 'step')}."


def describe_vitals(record: RunRecord) -> str:
    """The main numbers of a run over its first and its latest steps; empty: no step is done yet."""
    opening, recent = (Window(reports=tuple(part)) for part in (record.metrics[:OPENING], record.metrics[-RECENT:]))
    rows = [(name, _mean(opening, name), _mean(recent, name)) for name in _VITALS if recent.values(name)]
    if not rows:
        return ""
    heads = ("", describe_steps(opening.span), describe_steps(recent.span))
    return "\n".join(text_table([heads, *rows], right_aligned=(1, 2)))


def _mean(window: Window, name: str) -> str:
    mean = window.mean(name)
    return "-" if mean is None else describe_number(name, mean)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    """Wraps long lines, with `indent` before continuation lines. Half a surrogate pair from a model becomes `?`."""
    printable = text.encode(errors="replace").decode()
    lines = [
        line
        for paragraph in printable.splitlines()
        for line in textwrap.wrap(
            paragraph, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        )
    ]
    return lines or [""]
