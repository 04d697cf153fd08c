"""The page about a model that is not learning, held against the rules."""

from __future__ import annotations

import re
from pathlib import Path

from verifine.config import RunConfig
from verifine.config.graders import AnswerGraderConfig
from verifine.config.grading import GradingConfig
from verifine.insights.diagnosis import (
    engine_mismatch,
    entropy,
    generalisation,
    grader_health,
    groups,
    length,
    policy_shift,
    rate,
    signal,
)
from verifine.insights.diagnosis.history import OPENING, RECENT, TREND
from verifine.insights.diagnosis.topics import Topic
from verifine.insights.findings import Severity

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "why-is-it-not-learning.md").read_text(encoding="utf-8")
ROWS = {
    name: cells for name, *cells in re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", PAGE, re.MULTILINE)
}


def test_the_table_has_every_finding_and_no_other() -> None:
    assert set(ROWS) == {topic.value for topic in Topic}


def test_every_finding_has_a_severity_that_there_is() -> None:
    for name, (severity, _, _) in ROWS.items():
        assert {severity.split()[0].strip(","), severity.split()[-1]} & {each.value for each in Severity}, name


def test_every_key_on_the_page_is_in_the_configuration() -> None:
    sections = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    sections |= {"grader": AnswerGraderConfig, "grading": GradingConfig}
    keys = re.findall(r"`(model|data|grader|grading|algorithm|reward|sampling|optim|run)\.(\w+)", PAGE)
    assert len(keys) > 30
    for section, key in keys:
        assert key in sections[section].model_fields, f"{section}.{key}"  # type: ignore[union-attr]


def test_the_thresholds_on_the_page_are_those_of_the_rules() -> None:
    """Each as the page writes it, where it is said of that finding."""
    for name, number in {
        "too_hard": f"{signal.MUCH_SILENCE:.0%} of the groups",
        "no_signal": f"from {signal.SILENCE:.0%} on, else warning; note if fewer than {groups.LOST:.0%} are all wrong",
        "entropy_collapse": f"at most {entropy.LOW_ENTROPY:g} nats",
        "answers_cut_off": f"{length.CUT_OFF:.0%} of the answers",
        "held_out_lags": f"lies {generalisation.GAP:g} below",
        "kl_grows": f"above {policy_shift.FAR_KL:g} nats",
        "clip_saturation": f"{policy_shift.CLIPPED:.0%} of the tokens or more are clipped "
        f"({policy_shift.CLIPPED_ROLLOUTS:.0%} for",
        "critic_blind": f"after {policy_shift.CRITIC_STEPS} steps",
        "mismatch": f"{engine_mismatch.BFLOAT16_MISMATCH:g} in bfloat16, {engine_mismatch.INT8_MISMATCH:g} with int8",
        "not_finite": f"from {rate.MANY_NOT_FINITE} in {RECENT} steps",
        "unscorable_answers": f"{grader_health.FAILING:.0%} of the answers or more",
        "grader_faults": f"{grader_health.FAULTY:.0%} or more",
    }.items():
        said = " | ".join(ROWS[name]).replace(" %", "%")
        assert number in said, f"{name}: {number}"
    assert f"(undecidedness below {groups.DECIDED:g})" in ROWS["no_signal"][1]
    assert f"and {groups.LOST:.0%} of the groups or more all wrong" in ROWS["entropy_collapse"][1].replace(" %", "%")
    assert f"latest {RECENT} steps" in PAGE
    assert f"first {OPENING} where" in PAGE
    assert f"before step {TREND}" in PAGE
