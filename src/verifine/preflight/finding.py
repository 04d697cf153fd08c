"""What the check says of a run: findings, each with its way out, and the verdict they come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    BLOCKER = "blocker"
    """Training would fail, or be in vain."""
    WARNING = "warning"
    """Training would go worse than it could."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a run that somebody should know before it begins."""

    severity: Severity
    name: str
    """What programs and the documentation call it; the same for every run."""
    what: str
    """In a sentence."""
    evidence: str
    """The numbers it rests on."""
    remedy: str
    """What to change, with the key of the configuration; empty: nothing has to be."""


class Verdict(StrEnum):
    """What all findings together come to."""

    GO = "go"
    GO_WITH_WARNINGS = "go_with_warnings"
    NO_GO = "no_go"


def judge(findings: Iterable[Finding]) -> Verdict:
    """One blocker is enough; notes count for nothing."""
    severities = {finding.severity for finding in findings}
    if Severity.BLOCKER in severities:
        return Verdict.NO_GO
    return Verdict.GO_WITH_WARNINGS if Severity.WARNING in severities else Verdict.GO
