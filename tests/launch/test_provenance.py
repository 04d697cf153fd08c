from __future__ import annotations

import hashlib

import pytest

from verifine.config import AnyGrader
from verifine.config.graders import AnswerGraderConfig, NumberGraderConfig
from verifine.launch.provenance import hash_graders

ANSWER = (
    '{"type":"answer","name":"answer","reference":"{{ item.gt_answer }}","compare":"exact","tolerance":0.0,'
    '"tag":"answer","format_weight":0.1}'
)
NUMBER = (
    '{"type":"number","name":"number","input":"{{ sample.output_text }}","reference":"{{ item.gt_answer }}",'
    '"take":"last","tolerance":0.0,"relative_tolerance":0.0}'
)


@pytest.mark.parametrize(
    ("grader", "written"),
    [(AnswerGraderConfig(type="answer"), ANSWER), (NumberGraderConfig(type="number"), NUMBER)],
    ids=["answer", "number"],
)
def test_a_grader_has_the_hash_that_earlier_runs_recorded(grader: AnyGrader, written: str) -> None:
    assert hash_graders([grader]) == hashlib.sha256(written.encode() + b"\0").hexdigest()


def test_another_grader_has_another_hash() -> None:
    graders = [NumberGraderConfig(type="number", units=units) for units in ((), ("km",), ("m",))]
    hidden = NumberGraderConfig(type="number", reference='3,"units":[]')
    assert len({hash_graders([grader]) for grader in (*graders, hidden)}) == 4
    assert hash_graders([hidden]) != hash_graders([NumberGraderConfig(type="number", reference="3")])
