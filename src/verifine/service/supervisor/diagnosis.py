"""What a run as a whole shows, told when its job is over."""

from __future__ import annotations

from datetime import datetime

from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.runs.directory import RunDirectory
from verifine.runs.events import FindingRaised
from verifine.runs.record import read_run

TOLD_OTHERWISE = frozenset({Topic.FAILED, Topic.KILLED, Topic.STALLED, Topic.DISK_FULL})
"""How it ended, which the job says itself."""


def find_problems_of_run(run: RunDirectory, now: datetime) -> list[Finding]:
    """The problems that `verifine doctor` finds, but for those that the run has told while it went on.

    Raises:
        ConfigError: a file of the run cannot be read.
    """
    record = read_run(run)
    raised = {each.event.name for each in record.events if isinstance(each.event, FindingRaised)}
    known = raised | TOLD_OTHERWISE
    return [each for each in diagnose(record, now) if each.severity is Severity.PROBLEM and each.name not in known]
