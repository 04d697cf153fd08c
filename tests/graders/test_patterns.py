from __future__ import annotations

import re
import warnings

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from verifine.errors import GraderError
from verifine.graders.patterns import BoundedPattern, PatternTimeoutError

HOSTILE = ".*a.*a.*a.*a.*b"
"""Takes time that grows with the fifth power of the letters."""


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("a*", "aaa", True),
        ("a*", "aab", False),
        (r"<think>.+</think>\s*\d+", "<think>x</think> 7", True),
        (r"(?P<x>a|b)(?P=x)", "bb", True),
        ("a++b", "aab", True),
        # These are other things to the regex package: fuzzy matching, and classes by name.
        ("a{e}", "a{e}", True),
        ("a{e}", "b", False),
        ("(?:cat){s<=1}", "cut", False),
        ("(?:cat){s<=1}", "cat{s<=1}", True),
        ("{}", "{}", True),
        (r"\{1}", "{1}", True),
        (r"\{1\}", "{1}", True),
        ("[{e}]", "e", True),
        ("[]{]", "{", True),
        ("[^]a]", "b", True),
        (r"[a\]{]", "]", True),
        (r"[\[:alpha:]", "x", False),
        (r"[\[:alpha:]", "[", True),
    ],
)
def test_an_expression_means_what_it_means_to_re(pattern: str, text: str, matches: bool) -> None:
    assert BoundedPattern(pattern).matches(text) is matches
    assert (re.compile(pattern).fullmatch(text) is not None) is matches


def test_a_class_inside_a_class_is_read_letter_by_letter() -> None:
    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        wanted = [re.fullmatch("[[:alpha:]]", text) is not None for text in ("a", "a]", "x", "[]", ":]")]
    assert [BoundedPattern("[[:alpha:]]").matches(text) for text in ("a", "a]", "x", "[]", ":]")] == wanted


PIECES = [
    *("a", "b", ".", r"\d", r"\w", r"\s", r"\W", r"\S", "[ab]", "[^a]", "[a-c]", r"[^\W\d_]", "[]a]", "[^]a]", r"[\[]"),
    *(
        "{",
        "}",
        "{}",
        "{e}",
        "{1,x}",
        "{2",
        r"\{",
        r"\.",
        r"\b",
        "^",
        "$",
        r"\A",
        r"\Z",
        "<b>",
        " ",
        "é",
        "[a{e}]",
        ":",
    ),
    *("[{]", r"\n", r"\\", "-", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)"),
]
REPEATS = ["*", "+", "?", "*?", "+?", "{2}", "{1,}", "{,2}", "{1,2}", "{0,2}?"]
EXPRESSIONS = st.recursive(
    st.sampled_from(PIECES),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.tuples(inner, inner).map(lambda both: f"(?:{both[0]}|{both[1]})"),
        st.tuples(inner, st.sampled_from(REPEATS)).map(lambda both: f"(?:{both[0]}){both[1]}"),
        inner.map(lambda one: f"({one})"),
    ),
    max_leaves=8,
)


@settings(max_examples=500)
@given(pattern=EXPRESSIONS, text=st.text(alphabet="ab c1{}e[]<>\n-.x,2\\é", max_size=8))
def test_any_expression_means_what_it_means_to_re(pattern: str, text: str) -> None:
    try:
        with warnings.catch_warnings(action="error"):
            wanted = re.compile(pattern, re.DOTALL).fullmatch(text) is not None
    except (re.error, FutureWarning):
        assume(False)
    assert BoundedPattern(pattern, dot_matches_newline=True).matches(text) is wanted


def test_a_dot_matches_newlines_if_it_is_told_so() -> None:
    assert BoundedPattern("a.b", dot_matches_newline=True).matches("a\nb")
    assert not BoundedPattern("a.b").matches("a\nb")


def test_an_expression_is_found_anywhere() -> None:
    assert BoundedPattern("b+").is_in("abba")
    assert not BoundedPattern("c").is_in("abba")


def test_words_hold_the_marks_that_letters_need() -> None:
    assert BoundedPattern(r"\w+").matches("हिन्दी")


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(GraderError, match=r"'\(' is not a regular expression: missing \)"):
        BoundedPattern("(")


def test_no_text_takes_longer_than_it_may() -> None:
    pattern = BoundedPattern(HOSTILE)
    for ask in (pattern.matches, pattern.is_in):
        with pytest.raises(PatternTimeoutError, match="too long on a text of 20000 characters"):
            ask("a" * 20_000, timeout_s=0.05)
