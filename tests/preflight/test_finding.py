from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifine.preflight.finding import Finding, Severity, Verdict, judge


def finding(severity: Severity) -> Finding:
    return Finding(severity=severity, name="x", what="", evidence="", remedy="")


def test_nothing_found_is_a_go() -> None:
    assert judge([]) is Verdict.GO
    assert judge([finding(Severity.NOTE)]) is Verdict.GO


@given(st.lists(st.sampled_from(Severity)))
def test_the_worst_finding_decides(severities: list[Severity]) -> None:
    verdict = judge(map(finding, severities))
    assert (verdict is Verdict.NO_GO) == (Severity.BLOCKER in severities)
    assert (verdict is Verdict.GO) == ({*severities} <= {Severity.NOTE})
