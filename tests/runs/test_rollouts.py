from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from verifine.runs.rollouts import (
    BYTES_PER_TOKEN,
    GradedGroup,
    TokenNumbers,
    prune_rollouts,
    read_rollouts,
    read_tokens,
    rollouts_path,
    write_rollouts,
)
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout, VersionSpan


def make_group(prompt_id: str, *grades: Grade) -> Group:
    prompt = Prompt(id=prompt_id, token_ids=(1, 2), item={})
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(7, 8 + number),
            behaviour_logprobs=(-0.5, -1.0 - number),
            text=f"answer {number}",
            finish_reason=FinishReason.LENGTH if number else FinishReason.STOP,
            versions=(VersionSpan(version=3, tokens=2),),
        )
        for number in range(len(grades))
    )
    return Group(prompt=prompt, rollouts=rollouts).graded(grades)


def graded(
    group: Group, advantages: list[float], prompt: str = "?", tokens: Sequence[TokenNumbers] = ()
) -> GradedGroup:
    rewards = [grade.score or 0.0 for grade in group.grades]
    return GradedGroup(group=group, prompt=prompt, rewards=rewards, advantages=advantages, tokens=tokens)


def test_a_row_has_the_facts_of_an_answer(tmp_path: Path) -> None:
    grade = Grade(score=0.5, parts={"format": 1.0}, format_ok=True, answer_ok=False)
    path = write_rollouts(tmp_path / "rollouts", 12, [graded(make_group("a", grade), [0.25], "What?")])
    assert path == tmp_path / "rollouts" / "step-000012.jsonl" == rollouts_path(tmp_path / "rollouts", 12)
    assert json.loads(path.read_text()) == {
        "step": 12,
        "prompt_id": "a",
        "sample": 0,
        "prompt": "What?",
        "text": "answer 0",
        "finish_reason": "stop",
        "score": 0.5,
        "reason": None,
        "parts": {"format": 1.0},
        "format_ok": True,
        "answer_ok": False,
        "advantage": 0.25,
        "chosen": True,
        "reward": 0.5,
        "versions": [{"version": 3, "tokens": 2}],
        "tokens": [0, 2],
        "opened": "",
        "forced": [],
        "answer_start": 0,
        "reasoning_tokens": None,
    }


def test_rollouts_read_back_in_order_with_what_could_not_be_scored(tmp_path: Path) -> None:
    groups = [
        graded(make_group("a", Grade(score=1.0), Grade.unscorable("it crashed")), [1.0, math.nan], "first"),
        graded(make_group("b", Grade(score=0.0)), [0.0], "second"),
    ]
    records = read_rollouts(write_rollouts(tmp_path, 1, groups))
    assert [(record.prompt_id, record.sample, record.prompt) for record in records] == [
        ("a", 0, "first"),
        ("a", 1, "first"),
        ("b", 0, "second"),
    ]
    assert (records[1].score, records[1].reason, records[1].advantage) == (None, "it crashed", None)
    assert records[1].finish_reason is FinishReason.LENGTH
    assert [record.tokens for record in records] == [(0, 2), (2, 4), (4, 6)]


def test_the_tokens_of_an_answer_are_read_without_the_others(tmp_path: Path) -> None:
    known = TokenNumbers(
        entropy=np.array([0.5, math.nan], dtype=np.float16),
        ratio=np.array([1.0, 1.25], dtype=np.float16),
        advantage=np.array([2.0, 2.0], dtype=np.float16),
        text_ends=np.array([3, 8], dtype=np.int32),
    )
    pair = make_group("a", Grade(score=1.0), Grade(score=0.0))
    path = write_rollouts(tmp_path, 1, [graded(pair, [1.0, 0.0], tokens=[TokenNumbers.unknown(2), known])])
    tokens = read_tokens(path, 2, 4)
    assert (tokens.ids.tolist(), tokens.logprobs.tolist()) == ([7, 9], [-0.5, -2.0])
    assert tokens.numbers.entropy[0] == 0.5
    assert np.isnan(tokens.numbers.entropy[1])
    assert (tokens.numbers.ratio.tolist(), tokens.numbers.text_ends.tolist()) == ([1.0, 1.25], [3, 8])
    unknown = read_tokens(path, 0, 2).numbers
    assert np.isnan(unknown.advantage).all()
    assert unknown.text_ends.tolist() == [-1, -1]


def test_a_token_takes_as_many_bytes_as_is_said(tmp_path: Path) -> None:
    sizes = []
    for step, count in ((1, 1), (2, 2)):
        rollout = Rollout(
            prompt=Prompt(id="a", token_ids=(1,), item={}),
            token_ids=(7,) * 1000 * count,
            behaviour_logprobs=(-0.5,) * 1000 * count,
            text="",
            finish_reason=FinishReason.STOP,
        )
        group = Group(prompt=rollout.prompt, rollouts=(rollout,)).graded([Grade(score=1.0)])
        sizes.append(write_rollouts(tmp_path, step, [graded(group, [0.0])]).with_suffix(".safetensors").stat().st_size)
    assert sizes[1] - sizes[0] == pytest.approx(1000 * BYTES_PER_TOKEN, abs=64)


def test_a_row_of_the_first_format_reads_back_without_its_tokens(tmp_path: Path) -> None:
    row: dict[str, object] = {
        "step": 1,
        "prompt_id": "a",
        "sample": 0,
        "prompt": "?",
        "token_ids": [7],
        "text": "t",
        "logprobs": [-0.5],
    }
    grade: dict[str, object] = {
        "score": 1.0,
        "reason": None,
        "parts": {},
        "format_ok": None,
        "answer_ok": None,
        "advantage": 0.5,
    }
    (tmp_path / "step-000001.jsonl").write_text(json.dumps({**row, "finish_reason": "stop", **grade}) + "\n")
    (record,) = read_rollouts(tmp_path / "step-000001.jsonl")
    assert (record.score, record.advantage, record.reward, record.tokens) == (1.0, 0.5, None, None)


def test_only_the_newest_steps_are_kept(tmp_path: Path) -> None:
    for step in range(1, 5):
        write_rollouts(tmp_path, step, [graded(make_group("a", Grade(score=1.0)), [0.0])])
    prune_rollouts(tmp_path, oldest=3)
    assert sorted({path.stem for path in tmp_path.iterdir()}) == ["step-000003", "step-000004"]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_group_without_its_grades_or_advantages_is_refused(tmp_path: Path) -> None:
    group = make_group("a", Grade(score=1.0), Grade(score=0.0))
    with pytest.raises(ValueError, match="zip"):
        write_rollouts(tmp_path, 1, [graded(group.graded([]), [1.0, 0.0])])
    with pytest.raises(ValueError, match="zip"):
        write_rollouts(tmp_path, 1, [graded(group, [1.0])])
    assert list(tmp_path.iterdir()) == []
