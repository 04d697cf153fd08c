"""The event with the result of the check."""

from __future__ import annotations

from dataclasses import dataclass, field

from verifine.insights.findings import finding_numbers
from verifine.preflight.report import Report
from verifine.runs.events import RunChecked
from verifine.types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReported(RunChecked):
    """The check with its whole report, for listeners; the file has the verdict and the findings."""

    report: Report = field(repr=False)

    def row(self) -> dict[str, Json]:
        return {"verdict": self.verdict, "findings": list(self.findings)}


def check_reported(report: Report) -> CheckReported:
    findings = tuple(finding_numbers(finding) for finding in report.findings)
    return CheckReported(verdict=report.verdict.value, findings=findings, report=report)
