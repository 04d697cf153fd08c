"""Findings of the check before training and of a run's diagnosis, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from verifine.runs.events import FindingRaised
from verifine.types import Json


class Severity(StrEnum):
    """How much a finding matters, the worst first."""

    BLOCKER = "blocker"
    """Training would fail or be useless, so it does not begin."""
    PROBLEM = "problem"
    """The run has stopped learning, or learns the wrong thing."""
    WARNING = "warning"
    """Training is less effective than it could be, or may soon stop."""
    NOTE = "note"
    """Good to know."""

    @property
    def rank(self) -> int:
        """0 is the most severe."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that stands out, the evidence for it, and what to do about it."""

    name: str
    """The stable name for programs and the documentation."""
    severity: Severity
    what: str
    """One sentence."""
    evidence: str = ""
    """The facts it is based on, as text; empty: see `numbers`."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    """The metrics it is based on, by their names in `runs.metrics`: averages over `steps`. `<name>_at_first` is the
    average of the first steps, `<name>_at_best` the one of the best steps."""
    steps: tuple[int, int] | None = None
    """The first and the last step it is about, (0, 0) before the first step; None: it is not about steps."""
    remedies: tuple[str, ...] = ()
    """What to change: sentences that name keys of the config, the most promising first."""


TRAIN_ANYWAY = "\nTo train anyway, give --skip-check (in Python: check=False)."
"""What the message of a no-go ends with, for whoever started the run by hand."""


class CheckVerdict(StrEnum):
    """Whether training may begin."""

    GO = "go"
    GO_WITH_WARNINGS = "go_with_warnings"
    NO_GO = "no_go"


def conclude_check(findings: Iterable[Finding]) -> CheckVerdict:
    """One blocker is enough for a no-go; notes do not count."""
    severities = {finding.severity for finding in findings}
    if Severity.BLOCKER in severities:
        return CheckVerdict.NO_GO
    return CheckVerdict.GO if severities <= {Severity.NOTE} else CheckVerdict.GO_WITH_WARNINGS


def finding_text(what: str, evidence: str, remedies: Iterable[str]) -> str:
    """What was found, with its evidence and what to do, in a line."""
    return " ".join(part for part in (what, f"({evidence})" if evidence else "", *remedies) if part)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The most severe first; findings of equal severity keep their order."""
    return sorted(findings, key=lambda finding: finding.severity.rank)


def to_event(finding: Finding) -> FindingRaised:
    """A finding as an event of a run."""
    return FindingRaised(
        name=str(finding.name),
        severity=finding.severity.value,
        what=finding.what,
        evidence=finding.evidence,
        numbers=finding.numbers,
        steps=finding.steps,
        remedies=finding.remedies,
    )


def of_event(event: FindingRaised) -> Finding:
    """The finding that `to_event` was given."""
    return Finding(
        name=event.name,
        severity=Severity(event.severity),
        what=event.what,
        evidence=event.evidence,
        numbers=event.numbers,
        steps=event.steps,
        remedies=event.remedies,
    )


def finding_numbers(finding: Finding) -> dict[str, Json]:
    """One finding as plain values: in events, `preflight.json` and `--json`."""
    return {
        "name": str(finding.name),
        "severity": finding.severity.value,
        "what": finding.what,
        "evidence": finding.evidence,
        "numbers": dict(finding.numbers),
        "steps": None if finding.steps is None else list(finding.steps),
        "remedies": list(finding.remedies),
    }
