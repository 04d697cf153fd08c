"""What findings mean for a run that did well: why it learned no more, not that it failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from verifine.insights.diagnosis.diagnose import replay
from verifine.insights.diagnosis.groups import is_mostly_lost
from verifine.insights.diagnosis.history import RunHistory
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Finding, Severity
from verifine.insights.inference import Conclusion
from verifine.insights.outcome import describe_rise
from verifine.insights.pairs import pair_up
from verifine.runs.record import RunRecord

_MEANINGS: Mapping[str, str] = {
    Topic.NO_SIGNAL: "it has decided most prompts, some of them wrong, so more steps would add little",
    Topic.TOO_HARD: "the other prompts are too hard, so more steps would add little",
    Topic.ENTROPY_COLLAPSE: "the model has settled on its answers, so it would hardly find better ones",
    Topic.ANSWERS_CUT_OFF: "some answers had no space to end, so it could have done better still",
    Topic.FEW_UPDATES: "it has had little time, so more steps may well add more",
    Topic.LEARNING_RATE_TOO_SMALL: "it could have learned faster",
    Topic.CLIP_SATURATION: "it could have learned faster",
    Topic.SLOW_GRADING: "it took longer than it had to",
    Topic.MEMORY_SHORTAGES: "it took longer than it had to",
}
"""By the name of a finding that may stand out in a run that did well."""

_OTHERWISE = "worth a look before a longer run"

_AGAINST: frozenset[str] = frozenset(
    {
        Topic.FAILED,
        Topic.KILLED,
        Topic.STALLED,
        Topic.DISK_FULL,
        Topic.REWARD_COLLAPSE,
        Topic.HELD_OUT_FALLS,
        Topic.HELD_OUT_LAGS,
        Topic.GRADERS_DISAGREE,
        Topic.MISMATCH,
    }
)
"""Findings that cast doubt on the success itself: with one of them nothing is played down."""


def describe_success(record: RunRecord, findings: Iterable[Finding]) -> list[str]:
    """For a run that got better and has findings: a sentence, and a line on the meaning of each finding.

    Empty: there is nothing to explain, or the run is not known to have done well.
    """
    told = [finding for finding in findings if finding.severity is not Severity.NOTE]
    history = replay(record)
    rise = _find_rise(record, history)
    if not told or rise is None or is_mostly_lost(history) or any(finding.name in _AGAINST for finding in told):
        return []
    head = f"The run did well: {rise}. What stands out does not take that back; it says why it learned no more:"
    return [head, *_lines(told)]


def _find_rise(record: RunRecord, history: RunHistory) -> str | None:
    """The significant rise on held-out problems, or without these in training. None: there is none."""
    baseline, final = record.baseline, record.final
    if baseline is not None and final is not None:
        pairing = pair_up(baseline, final)
        return describe_rise(pairing, baseline, final) if pairing.conclusion is Conclusion.BETTER else None
    move = history.move(history.goal)
    if move is None or not move.has_risen:
        return None
    return f"{history.goal} rose from {move.before:.2f} to {move.after:.2f} in training"


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    for name in dict.fromkeys(finding.name for finding in findings):
        yield f"{name}: {_MEANINGS.get(name, _OTHERWISE)}."
