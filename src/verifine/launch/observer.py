"""Whoever watches a run from its check to its end."""

from __future__ import annotations

from typing import Protocol

from verifine.insights.findings import Finding
from verifine.preflight.report import Report
from verifine.runs.evaluations import Evaluation
from verifine.training import run
from verifine.types import StepReport


class Observer(run.Observer, Protocol):
    """Somebody who watches a run from its check on."""

    def checked(self, report: Report) -> None:
        """The check is done; training begins if it says so."""
        ...


class _Silent:
    """An observer that looks away."""

    def stage(self, text: str) -> None: ...
    def progress(self, text: str, done: int, total: int) -> None: ...
    def checked(self, report: Report) -> None: ...
    def evaluated(self, evaluation: Evaluation) -> None: ...
    def stepped(self, report: StepReport, eta_s: float | None) -> None: ...
    def found(self, finding: Finding) -> None: ...


SILENT: Observer = _Silent()
