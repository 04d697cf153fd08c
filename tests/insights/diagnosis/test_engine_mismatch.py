"""Sampler and learner, and whether they mean the same model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from verifine.insights.findings import Finding

Findings = Callable[..., dict[str, Finding]]

FLOAT32 = {"model": {"precision": "float32"}}
BFLOAT16 = {"model": {"precision": "bfloat16"}}
INT8 = {"engine": {"precision": "int8"}}
CORRECTED = {"algorithm": {"name": "grpo", "importance_cap": 2}}


@pytest.mark.parametrize(
    ("mismatch", "sections", "severity"),
    [
        (3e-6, FLOAT32, None),
        (1e-4, FLOAT32, "warning"),
        (0.02, BFLOAT16, None),
        (0.05, BFLOAT16, "warning"),
        (0.1, BFLOAT16, "problem"),
        (0.02, {}, None),
        (0.09, INT8, None),
        (0.2, INT8, "warning"),
        (0.4, INT8, "problem"),
        (lambda step: 0.0005 * step, BFLOAT16, "warning"),
        (lambda step: 0.02 + 0.0002 * step, BFLOAT16, None),
        (lambda step: 0.00005 * step, BFLOAT16, None),
    ],
    ids=[
        "float32 as measured",
        "float32",
        "bfloat16 as measured",
        "bfloat16",
        "bfloat16, far apart",
        "auto may be bfloat16",
        "int8 as measured",
        "int8",
        "int8, far apart",
        "growing",
        "growing a little",
        "growing, and still small",
    ],
)
def test_a_sampler_that_disagrees_with_the_learner_by_more_than_rounding_is_told(
    findings: Findings, mismatch: object, sections: Mapping[str, object], severity: str | None
) -> None:
    found = findings({"mismatch/mean": mismatch}, sections=sections).get("mismatch")
    assert (None if found is None else found.severity.value) == severity


def test_what_they_may_disagree_about_is_named(findings: Findings) -> None:
    sections = {"engine": {"precision": "int8"}, "model": {"precision": "bfloat16"}}
    changes = findings({"mismatch/mean": 0.5}, sections=sections)["mismatch"].remedies
    assert "engine.precision to same" in changes[0]
    assert "model.precision to float32" in changes[1]
    assert "algorithm.importance_cap to 2" in changes[2]
    settled = {**CORRECTED, "model": {"precision": "float32"}}
    only = findings({"mismatch/mean": 0.2}, sections=settled)["mismatch"].remedies
    assert len(only) == 1
    assert "report it" in only[0]


@pytest.mark.parametrize(("share", "is_told"), [(0.05, True), (0.04, False)])
def test_weights_that_are_often_cut_down_are_told(findings: Findings, share: float, is_told: bool) -> None:
    assert ("importance_capped" in findings({"importance/capped_mean": share}, sections=CORRECTED)) is is_told
