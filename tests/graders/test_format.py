from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.config.graders import FormatGraderConfig
from verifine.graders import build_grader
from verifine.graders.format import has_tags
from verifine.types import Grade, GradeFault, Sample


def grade(text: str, *, pattern: str | None = None, template: str | None = None) -> Grade:
    config = FormatGraderConfig(type="format", name="shape", pattern=pattern, template=template)
    (result,) = build_grader(config).grade([Sample(output_text=text, item={})])
    assert result.seconds > 0
    return replace(result, seconds=0.0)


def judged(fits: bool) -> Grade:
    return Grade(score=float(fits), parts={"shape": float(fits)}, format_ok=fits)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("<think>a\nb</think>7", True),
        ("<think></think>7", True),
        ("x<think></think>7", False),
        ("<think></think>7 ", False),
        ("", False),
    ],
)
def test_the_whole_answer_must_match_and_a_dot_matches_newlines(text: str, matches: bool) -> None:
    assert grade(text, pattern=r"<think>.*</think>\d") == judged(matches)


def test_a_long_answer_is_matched() -> None:
    assert grade("<a>" + "x" * 200_000 + "</a>", pattern="<a>.*</a>") == judged(True)


def test_an_answer_that_makes_the_expression_run_forever_is_unscorable_and_harms_no_other() -> None:
    grader = build_grader(FormatGraderConfig(type="format", pattern=".*a.*a.*a.*a.*b"))
    hostile, sound = grader.grade([Sample(output_text=text, item={}) for text in ("a" * 20_000, "aaaab")])
    assert (hostile.score, hostile.faults) == (None, frozenset({GradeFault.UNRESPONSIVE_REWARD}))
    assert "took too long on a text of 20000 characters" in str(hostile.reason)
    assert sound.score == 1


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("<think>so</think><answer>7</answer>", True),
        ("\n<think> so\n</think>\n\n<answer>7</answer> \n", True),
        ("<think>1 < 2 and <b>so</b></think><answer>7</answer>", True),
        ("<think>so</think><answer></answer>", False),
        ("<think> \n</think><answer>7</answer>", False),
        ("<think>so</think>", False),
        ("<answer>7</answer>", False),
        ("<answer>7</answer><think>so</think>", False),
        ("<think>so</think> so <answer>7</answer>", False),
        ("Well: <think>so</think><answer>7</answer>", False),
        ("<think>so</think><answer>7</answer>.", False),
        ("<think>so</think><answer>7</answer><answer>8</answer>", False),
        ("<think>so<think></think><answer>7</answer>", False),
        ("<think><answer>7</answer></think>", False),
        ("<think>so <answer>7</think></answer>", False),
        ("<think>so</answer><answer>7</think>", False),
        ("</think>so<think><answer>7</answer>", False),
        ("<Think>so</Think><answer>7</answer>", False),
        ("<think>so<answer>7</answer>", False),
        ("", False),
    ],
)
def test_each_tag_stands_once_in_order_with_text_inside_and_blanks_outside(text: str, fits: bool) -> None:
    assert grade(text, template="<think>...</think>\n<answer>...</answer>") == judged(fits)


INSIDE = st.text(alphabet="ab<>/ \n", min_size=1, max_size=20).filter(str.strip)
BLANKS = st.text(alphabet=" \n\t", max_size=3)


@given(st.lists(st.sampled_from(["a-b", "think", "x"]), unique=True, min_size=1), INSIDE, BLANKS)
def test_what_is_written_by_the_template_fits_it(tags: list[str], inside: str, blank: str) -> None:
    text = blank + blank.join(f"<{tag}>{inside}</{tag}>" for tag in tags) + blank
    assert has_tags(text, tags)
    assert not has_tags(f"{text}.", tags)
    assert not has_tags(text + text, tags)
    assert has_tags(text, tags[::-1]) is (len(tags) == 1)
