"""The same findings while a run is training."""

from __future__ import annotations

from collections.abc import Iterable

from verifine.config import RunConfig
from verifine.insights.diagnosis.diagnose import apply_rules, replay
from verifine.insights.diagnosis.history import RECENT, RunHistory
from verifine.insights.findings import Finding, Severity
from verifine.runs.evaluations import Evaluation
from verifine.runs.record import RunRecord
from verifine.types import StepReport


class Monitor:
    """Takes each step and evaluation, and returns new findings: each once, until it has been absent for RECENT steps.

    A finding that becomes more severe is new again.
    """

    def __init__(self, config: RunConfig) -> None:
        self._history = RunHistory(config)
        self._told: dict[str, Severity] = {}
        """The highest severity reported for each current finding."""
        self._last_seen: dict[str, int] = {}

    @classmethod
    def after(cls, record: RunRecord) -> Monitor:
        """For a resumed run: findings from before are not new."""
        monitor = cls(record.config)
        monitor._history = replay(record)
        monitor._news(apply_rules(monitor._history))
        return monitor

    def stepped(self, report: StepReport) -> list[Finding]:
        """The worst first."""
        self._history.tell(report)
        return self._news(apply_rules(self._history))

    def evaluated(self, evaluation: Evaluation) -> list[Finding]:
        """The worst first."""
        self._history.tell_evaluation(evaluation)
        return self._news(apply_rules(self._history))

    def _news(self, findings: Iterable[Finding]) -> list[Finding]:
        now = self._history.steps
        gone = [name for name, step in self._last_seen.items() if now - step > RECENT]
        for name in gone:
            del self._told[name], self._last_seen[name]
        news = []
        for finding in findings:
            told = self._told.get(finding.name)
            self._last_seen[finding.name] = now
            if told is None or finding.severity.rank < told.rank:
                self._told[finding.name] = finding.severity
                news.append(finding)
        return news
