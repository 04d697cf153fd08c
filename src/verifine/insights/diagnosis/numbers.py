"""Findings as plain values: the event `finding`, and `verifine doctor --json`."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.insights.diagnosis.finding import Finding
from verifine.types import Json


def finding_numbers(finding: Finding) -> dict[str, Json]:
    """One finding."""
    return {
        "name": finding.topic.value,
        "severity": finding.severity.value,
        "found": finding.found,
        "evidence": dict(finding.evidence),
        "steps": list(finding.steps),
        "changes": list(finding.changes),
    }


def to_numbers(findings: Sequence[Finding], steps: int) -> dict[str, Json]:
    """All of them; `steps` is how many were looked at."""
    return {"steps": steps, "findings": [finding_numbers(finding) for finding in findings]}
