from __future__ import annotations

import pytest

from verifine.graders.reference_answers import AnswerMark, readable_reference, reference_answer
from verifine.graders.sample_error import SampleError

PROSE = (
    "Mara fills three boxes with four pears each, so there are twelve pears.\nAfter lunch she has two fewer of them."
)


@pytest.mark.parametrize(
    ("reference", "text", "mark"),
    [
        # Answers, of one line or several.
        ("72", "72", AnswerMark.WHOLE),
        (" Paris \n", "Paris", AnswerMark.WHOLE),
        ("x = 5", "x = 5", AnswerMark.WHOLE),
        ("", "", AnswerMark.WHOLE),
        ("1\n2\n3", "1\n2\n3", AnswerMark.WHOLE),
        ("red\ngreen\nblue", "red\ngreen\nblue", AnswerMark.WHOLE),
        ("\\begin{pmatrix} 1 \\\\\n2 \\end{pmatrix}", "\\begin{pmatrix} 1 \\\\\n2 \\end{pmatrix}", AnswerMark.WHOLE),
        ("all real numbers except 3", "all real numbers except 3", AnswerMark.WHOLE),
        # GSM8K
        ("3*4=<<3*4=12>>12 pears.\n12-2=<<12-2=10>>10 are left.\n#### 10", "10", AnswerMark.HASHES),
        ("It is 12-22=-10 degrees.\n#### -10", "-10", AnswerMark.HASHES),
        ("Together 1800.\n#### 1,800\n", "1,800", AnswerMark.HASHES),
        ("#### 10", "10", AnswerMark.HASHES),
        ("12-2=10 #### 10", "10", AnswerMark.HASHES),
        # MATH
        (r"We divide, so $x = \boxed{\frac{1}{2}}$.", r"\frac{1}{2}", AnswerMark.BOX),
        ("First \\boxed{3}.\nNo, it is \\boxed{4}.", "4", AnswerMark.BOX),
        (r"\boxed{5}", "5", AnswerMark.BOX),
        (r"It is \boxed{5}, that is \boxed{5}.", "5", AnswerMark.BOX),
        # Tags and labels
        ("<think>so</think> <answer> 5 </answer>", "5", AnswerMark.TAGS),
        ("We add.\nAnswer: 5", "5", AnswerMark.LABEL),
        ("We add.\n**Final answer:** 5 apples.", "5 apples", AnswerMark.LABEL),
        ("The answer is 5.", "5", AnswerMark.LABEL),
        ("We add.\nSince 2 + 3 = 5, the answer is 5.", "5", AnswerMark.LABEL),
        # A last line
        ("We add 2 and 3.\n5", "5", AnswerMark.LAST_LINE),
        (PROSE, PROSE, AnswerMark.MISSING),
    ],
)
def test_the_answer_of_a_reference(reference: str, text: str, mark: AnswerMark) -> None:
    found = reference_answer(reference)
    assert (found.text, found.mark) == (text, mark)
    assert found.is_in_a_solution is (mark is not AnswerMark.WHOLE)


@pytest.mark.parametrize(
    ("reference", "word"),
    [
        ("We add.\n####", "####"),
        (r"We add. \boxed{}", "boxed"),
        (r"$x = \boxed{1}$ or $x = \boxed{2}$", "1, 2"),
    ],
)
def test_a_mark_without_one_answer_is_a_fault_of_the_row(reference: str, word: str) -> None:
    with pytest.raises(SampleError, match=word):
        reference_answer(reference)


def test_graders_of_short_answers_refuse_a_solution_that_marks_none() -> None:
    with pytest.raises(SampleError, match="marks no answer"):
        readable_reference(PROSE)
    assert readable_reference("red\ngreen\nblue").text == "red\ngreen\nblue"


def test_a_long_reference_is_read_in_one_go() -> None:
    assert reference_answer("\\boxed{" * 50_000).mark is AnswerMark.WHOLE
    assert reference_answer("a\\boxed{1} " * 20_000).text == "1"
