from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verifine.insights.findings import CheckVerdict, Finding, Severity, conclude_check


def finding(severity: Severity) -> Finding:
    return Finding(severity=severity, name="x", what="", evidence="", remedies=())


def test_nothing_found_is_a_go() -> None:
    assert conclude_check([]) is CheckVerdict.GO
    assert conclude_check([finding(Severity.NOTE)]) is CheckVerdict.GO


@given(st.lists(st.sampled_from(Severity)))
def test_the_worst_finding_decides(severities: list[Severity]) -> None:
    verdict = conclude_check(map(finding, severities))
    assert (verdict is CheckVerdict.NO_GO) == (Severity.BLOCKER in severities)
    assert (verdict is CheckVerdict.GO) == ({*severities} <= {Severity.NOTE})
