from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from verifine.cli.chat_display import (
    ColumnDisplay,
    SequentialDisplay,
    describe_reply,
    make_answer_display,
)
from verifine.cli.chat_talk import summarize_scores
from verifine.launch.chat import ScoredReply
from verifine.serving.conversation import Reply
from verifine.types import FinishReason, Grade


def scored(score: float | None, *, right: bool | None = None, reason: FinishReason = FinishReason.STOP) -> ScoredReply:
    grade = Grade.unscorable("no tag\x1b[2J") if score is None else Grade(score=score, answer_ok=right)
    return ScoredReply(
        reply=Reply(text="x", answer_start=0, opened="", token_count=9, finish_reason=reason), grade=grade
    )


def terminal(width: int) -> Console:
    return Console(file=StringIO(), force_terminal=True, width=width, height=12, color_system=None)


def shown(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("console", "names", "kind"),
    [
        (terminal(80), ["a", "b"], ColumnDisplay),
        (terminal(79), ["a", "b"], SequentialDisplay),
        (terminal(200), ["a"], SequentialDisplay),
        (Console(file=StringIO(), width=200), ["a", "b"], SequentialDisplay),
    ],
)
def test_two_answers_stand_side_by_side_in_a_wide_terminal(console: Console, names: list[str], kind: type) -> None:
    assert isinstance(make_answer_display(console, names), kind)


def test_columns_keep_both_answers_with_their_scores() -> None:
    console = terminal(80)
    display = ColumnDisplay(console, ["tuned", "base"])
    with display:
        for word in range(40):
            display.hear(0, f"left{word} ")
            display.hear(1, f"right{word} ")
    display.show_scores([scored(1.0, right=True), scored(0.1, right=False, reason=FinishReason.LENGTH)])
    final = shown(console)[-1600:]
    assert all(f"left{word} " in final and f"right{word} " in final for word in range(40))
    assert "score 1.00, right · 9 tokens" in final
    assert "score 0.10, wrong · 9 tokens · cut off" in final


def test_one_answer_follows_the_other_whole_whoever_is_faster() -> None:
    console = Console(file=StringIO(), width=40)
    display = SequentialDisplay(console, ["tuned", "base"])
    with display:
        for place, text in ((1, "B1 "), (0, "A1 "), (1, "B2"), (0, "A2")):
            display.hear(place, text)
        display.end(1)
        display.end(0)
    assert shown(console) == "tuned\nA1 A2\nbase\nB1 B2\n"


def test_what_was_heard_of_broken_off_answers_is_shown() -> None:
    console = Console(file=StringIO(), width=40)
    display = SequentialDisplay(console, ["tuned", "base"])
    with pytest.raises(KeyboardInterrupt), display:
        display.hear(0, "A1")
        display.hear(1, "B1")
        raise KeyboardInterrupt
    assert shown(console) == "tuned\nA1\nbase\nB1\n"


@pytest.mark.parametrize("width", [40, 100])
def test_a_terminal_obeys_nothing_that_a_model_writes(width: int) -> None:
    console = terminal(width)
    display = make_answer_display(console, ["tuned", "base"])
    with display:
        display.hear(0, "a\x1b[31mred [bold]b[/bold]")
        display.end(0)
        display.end(1)
    assert "a\ufffd[31mred [bold]b[/bold]" in shown(console)


def test_an_answer_without_a_score_or_that_did_not_come_says_why() -> None:
    assert describe_reply(scored(None)) == "no score: no tag\ufffd[2J · 9 tokens"
    assert describe_reply(ScoredReply(reply=None, error="the context is full")) == "no answer: the context is full"


def test_scores_are_summed_up() -> None:
    asked = [[scored(1.0), scored(0.0)], [scored(0.5), scored(0.5)], [scored(0.0), scored(None)]]
    assert summarize_scores(["tuned", "base"], asked) == [
        "tuned: mean score 0.50 (3 of 3 answers scored)",
        "base: mean score 0.25 (2 of 3 answers scored)",
        "tuned scores higher on 1, lower on 0, the same on 1",
    ]
    assert summarize_scores(["tuned"], []) == ["tuned: no score (0 of 0 answers scored)"]
