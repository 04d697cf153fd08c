from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from verifine.runs.rollouts import read_rollouts, rollouts_path, write_rollouts
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout


def make_group(prompt_id: str, *grades: Grade) -> Group:
    prompt = Prompt(id=prompt_id, token_ids=(1, 2), item={})
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(7, 8 + number),
            behaviour_logprobs=(-0.5, -1.0 - number),
            text=f"answer {number}",
            finish_reason=FinishReason.LENGTH if number else FinishReason.STOP,
        )
        for number in range(len(grades))
    )
    return Group(prompt=prompt, rollouts=rollouts).graded(grades)


def test_a_row_says_everything_about_a_rollout(tmp_path: Path) -> None:
    grade = Grade(score=0.5, parts={"format": 1.0}, format_ok=True, answer_ok=False)
    path = write_rollouts(tmp_path / "rollouts", 12, [make_group("a", grade)], [[0.25]], ["What?"])
    assert path == tmp_path / "rollouts" / "step-000012.jsonl" == rollouts_path(tmp_path / "rollouts", 12)
    assert json.loads(path.read_text()) == {
        "step": 12,
        "prompt_id": "a",
        "sample": 0,
        "prompt": "What?",
        "token_ids": [7, 8],
        "text": "answer 0",
        "logprobs": [-0.5, -1.0],
        "finish_reason": "stop",
        "score": 0.5,
        "reason": None,
        "parts": {"format": 1.0},
        "format_ok": True,
        "answer_ok": False,
        "advantage": 0.25,
    }


def test_rollouts_read_back_in_order_with_what_could_not_be_scored(tmp_path: Path) -> None:
    groups = [make_group("a", Grade(score=1.0), Grade.unscorable("it crashed")), make_group("b", Grade(score=0.0))]
    records = read_rollouts(write_rollouts(tmp_path, 1, groups, [[1.0, math.nan], [0.0]], ["first", "second"]))
    assert [(record.prompt_id, record.sample, record.prompt) for record in records] == [
        ("a", 0, "first"),
        ("a", 1, "first"),
        ("b", 0, "second"),
    ]
    assert (records[1].score, records[1].reason, records[1].advantage) == (None, "it crashed", None)
    assert records[1].finish_reason is FinishReason.LENGTH
    assert records[1].logprobs == (-0.5, -2.0)


def test_a_group_without_its_grades_or_advantages_is_refused(tmp_path: Path) -> None:
    graded = make_group("a", Grade(score=1.0), Grade(score=0.0))
    with pytest.raises(ValueError, match="zip"):
        write_rollouts(tmp_path, 1, [graded.graded([])], [[1.0, 0.0]], ["first"])
    with pytest.raises(ValueError, match="zip"):
        write_rollouts(tmp_path, 1, [graded], [[1.0]], ["first"])
    assert list(tmp_path.iterdir()) == []
