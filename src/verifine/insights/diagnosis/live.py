"""The same findings while a run goes on."""

from __future__ import annotations

from collections.abc import Iterable

from verifine.config import RunConfig
from verifine.insights.diagnosis.diagnose import judge, tell
from verifine.insights.diagnosis.finding import Finding, Severity, Topic
from verifine.insights.diagnosis.story import RECENT, Story
from verifine.insights.evaluation import Evaluation
from verifine.insights.record import RunRecord
from verifine.types import StepReport


class Watch:
    """Told each step and evaluation, says what is new: a finding once, until it has been gone for RECENT steps.

    A finding that gets worse than it has been is new again.
    """

    def __init__(self, config: RunConfig) -> None:
        self._story = Story(config)
        self._told: dict[Topic, Severity] = {}
        """The worst that was said of what stands out now."""
        self._last_seen: dict[Topic, int] = {}

    @classmethod
    def after(cls, record: RunRecord) -> Watch:
        """For a run that goes on: what stood out already is not new."""
        watch = cls(record.config)
        watch._story = tell(record)
        watch._news(judge(watch._story))
        return watch

    def stepped(self, report: StepReport) -> list[Finding]:
        """The worst first."""
        self._story.tell(report)
        return self._news(judge(self._story))

    def evaluated(self, evaluation: Evaluation) -> list[Finding]:
        """The worst first."""
        self._story.tell_evaluation(evaluation)
        return self._news(judge(self._story))

    def _news(self, findings: Iterable[Finding]) -> list[Finding]:
        now = self._story.steps
        gone = [topic for topic, step in self._last_seen.items() if now - step > RECENT]
        for topic in gone:
            del self._told[topic], self._last_seen[topic]
        news = []
        for finding in findings:
            told = self._told.get(finding.topic)
            self._last_seen[finding.topic] = now
            if told is None or finding.severity.rank < told.rank:
                self._told[finding.topic] = finding.severity
                news.append(finding)
        return news
