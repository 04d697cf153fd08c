from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from verifine.errors import ConfigError
from verifine.insights.rescoring import (
    Rescored,
    SavedRollout,
    find_item,
    measure_agreement,
    read_saved_rollouts,
    row_ids,
)
from verifine.runs.rollouts import GradedGroup, write_rollouts
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout


def make_group(prompt_id: str, *scores: float | None) -> Group:
    prompt = Prompt(id=prompt_id, token_ids=(1,), item={})
    rollouts = tuple(
        Rollout(
            prompt=prompt,
            token_ids=(7,),
            behaviour_logprobs=(-0.5,),
            text=f"answer {number}",
            finish_reason=FinishReason.STOP,
        )
        for number in range(len(scores))
    )
    grades = [Grade(score=score, parts={"a": 0.5}) if score is not None else Grade.unscorable("no") for score in scores]
    return Group(prompt=prompt, rollouts=rollouts).graded(grades)


def rescored(old: float | None, new: float | None, text: str = "") -> Rescored:
    saved = SavedRollout(step=1, sample=0, prompt_id="1", prompt="?", text=text, recorded=Grade(score=old))
    return Rescored(rollout=saved, grade=Grade(score=new))


def texts(all_of_them: Sequence[Rescored], shown: int = 5) -> list[str]:
    return [each.rollout.text for each in measure_agreement(all_of_them, shown).largest]


def test_saved_answers_come_in_the_order_of_the_steps(tmp_path: Path) -> None:
    for step in (10, 2):
        group = make_group(f"p{step}", 1.0, None)
        written = GradedGroup(group=group, prompt="?", rewards=[1.0, 0.0], advantages=[0.0, 0.0])
        write_rollouts(tmp_path, step, [written])
    saved = read_saved_rollouts(tmp_path)
    assert [(each.step, each.sample, each.prompt_id, each.text) for each in saved] == [
        (2, 0, "p2", "answer 0"),
        (2, 1, "p2", "answer 1"),
        (10, 0, "p10", "answer 0"),
        (10, 1, "p10", "answer 1"),
    ]
    assert saved[0].recorded == Grade(score=1.0, parts={"a": 0.5})
    assert (saved[1].recorded.score, saved[1].recorded.reason) == (None, "no")


def test_a_run_without_answers_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no rollouts"):
        read_saved_rollouts(tmp_path)


@pytest.mark.parametrize(
    ("prompt_id", "expected"),
    [
        ("x", "row x"),
        ("x@1", "row x"),
        ("x@12", "row x"),
        ("held-out/x", "row x"),
        ("held-out/y", "row held-out/y"),
        ("x@home", None),
        ("z", None),
        ("held-out/z@3", None),
    ],
)
def test_a_prompt_finds_its_row(prompt_id: str, expected: str | None) -> None:
    items = {name: {"is": f"row {name}"} for name in ("x", "y", "held-out/y")}
    item = find_item(prompt_id, items)
    assert (item and item["is"]) == expected
    assert expected is None or {expected.removeprefix("row ")} & set(row_ids(prompt_id))


def test_agreement_is_counted_as_worked_by_hand() -> None:
    agreement = measure_agreement(
        [
            rescored(1.0, 1.0),
            rescored(0.3, 0.1 + 0.2),
            rescored(0.0, 0.5),
            rescored(1.0, 0.75),
            rescored(None, None),
            rescored(0.5, None),
            rescored(None, 0.5),
        ],
        shown=5,
    )
    assert (agreement.count, agreement.same) == (7, 3)
    assert agreement.mean_difference == pytest.approx((0.5 - 0.25) / 4)
    assert (agreement.newly_unscorable, agreement.newly_scorable) == (1, 1)


def test_the_largest_differences_come_first_and_no_text_twice() -> None:
    all_of_them = [
        rescored(0.5, 0.75, "a"),
        rescored(1.0, 0.0, "b"),
        rescored(1.0, 0.0, "b"),
        rescored(0.0, 0.5, "c"),
        rescored(1.0, None, "d"),
        rescored(1.0, 1.0, "e"),
    ]
    assert texts(all_of_them) == ["b", "c", "a"]
    assert texts(all_of_them, shown=2) == ["b", "c"]


def test_where_nothing_was_scored_twice_there_is_no_difference() -> None:
    agreement = measure_agreement([rescored(None, 1.0)], shown=5)
    assert (agreement.mean_difference, agreement.largest) == (None, ())
