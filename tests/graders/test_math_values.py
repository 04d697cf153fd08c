"""What has the value of the reference, and what only looks like it. Both lists are worked by hand."""

from __future__ import annotations

import pytest

from verifine.config.graders import MathGraderConfig
from verifine.graders.math import MathGrader
from verifine.graders.services import Services
from verifine.types import Sample

DIFFERENT = [
    # tiny and large numbers: their difference is small, their ratio is not 1
    (r"\frac{1}{1998!}", r"\frac{1}{1999!}"),
    (r"\frac{1}{2^{88}}", r"\frac{1}{2^{87}}"),
    (r"\frac{2^{900}+1}{3\cdot 2^{901}}", r"\frac{1}{3 \cdot 2^{901}}"),
    ("10^{-20}", "10^{-21}"),
    (r"\sqrt{2} \cdot 10^{-30}", r"\sqrt{3} \cdot 10^{-30}"),
    (r"e^{-100}", r"e^{-101}"),
    (r"\pi", r"\pi + 10^{-40}"),
    (r"10^{50}", r"\sqrt{10^{100}+1}"),
    ("x", "x + 10^{-20}"),
    ("10^{-20} x", "10^{-21} x"),
    (r"\{10^{-20}\}", r"\{10^{-21}\}"),
    ("(0, 10^{-20})", "(0, 10^{-21})"),
    (r"\frac{1}{3}", "0.3333"),
    (r"\pi", "3.14"),
    (r"\pi", "3.14160"),
    (r"\sqrt{2}", "1.41422"),
    # lists, sets, pairs and intervals
    ("3, 5, 7", "5, 7"),
    ("3, 5, 7", "3, 5, 7, 9"),
    ("3, 3, 5", "3, 5"),
    (r"19, 46, \text{ and } 82", "21, 36, and 82"),
    ("n=2, 3, 4", "n=1, 2, 3"),
    ("(1, 2)", "(2, 1)"),
    ("(1, 2)", r"\{1, 2\}"),
    ("(1, 2)", "1, 2"),
    (r"\{1, 2\}", "(1, 2)"),
    ("D = (0, 1)", "D = (0, 1.5)"),
    ("[0, 1]", "[0, 1)"),
    ("[0, 1)", "[0, 2)"),
    (r"(-\infty, 1) \cup (2, \infty)", r"(-\infty, 1) \cup (3, \infty)"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix} 1 & 2 \end{pmatrix}"),
    # sequences with dots
    (r"1, 2, \ldots, n", r"1, 3, 5, \ldots, 2n-1"),
    (r"1, 2, \ldots, n", "1, 2, n"),
    (r"1:2:3:\ldots", r"1:4:9:\ldots"),
    (r"0.333\ldots", "0.333"),
    # times and ratios
    ("3:45", "3:15"),
    ("12:00", "1:00"),
    (r"12:00\text{ PM}", r"12:00\text{ AM}"),
    ("1:2:3", "1:1:6"),
    # signs
    (r"1 - \frac{1}{\mathrm{e}}", r"1 + \frac{1}{\mathrm{e}}"),
    (r"1 - \frac{1}{e}", r"1 + \frac{1}{e}"),
    (r"\pm 2021", "2021"),
    ("2021", r"\pm 2021"),
    (r"2 \pm \sqrt{3}", r"2 + \sqrt{3}"),
    ("3", "\u22123"),
    # equations and inequalities
    ("x > 3", "x < 3"),
    ("x > 3", r"x \ge 3"),
    ("1 < x < 2", "1 < x < 3"),
    ("0", "2x - y = 0"),
    ("3x + 4y + 14 = 0", "3x - y + 13 = 0"),
    ("3x + 4y = 0", "3x - y = 0"),
    ("y = 2x", "y = 3x"),
    ("x = 5", "y = 5"),
    ("5", "4 = 5"),
    ("5", "-x = 5"),
    ("x + y = 5", "5"),
    (r"F_n = \sum_{k=0}^{n-1} F_k", r"F_n = \sum_{k=0}^{n-2} F_k"),
    (r"x \neq 3", "x = 3"),
    # what a parser reads as something else
    ("4", r"4\sqrt(2)"),
    ("5", "2(3)"),
    ("5", "(2)(3)"),
    ("y' = 2x", "y = 2x"),
    (r"\pi R^2", r"\pi r^2"),
    ("2", "2d"),
    ("5", "5t"),
    ("2g", "2"),
    ("2", r"2 \cdot 1"),
    (r"2\frac{1}{2}", r"2 \cdot \frac{1}{2}"),
    (r"\log 2", r"\ln 2"),
    (r"|x|", "x"),
    (r"\sqrt{x^2}", "x"),
    (r"2\sqrt{3}", r"2\sqrt[3]{3}"),
    (r"0.\overline{3}", "0.33"),
    (r"\frac{\pi}{6} + k\pi", r"\frac{\pi}{3} + k\pi"),
    (r"\mathbb{R} \setminus \{1\}", r"\mathbb{R} \setminus \{2\}"),
    (r"120_{3}", r"120_{4}"),
    (r"\frac{1 \pm \sqrt{5}}{2}", r"\frac{1 + \sqrt{5}}{2}"),
    (r"\text{June 5}", r"\text{June 6}"),
    (r"\text{June 5}", "5"),
    ("x = 1, y = 2", "x = 2, y = 1"),
    ("(1,2), (3,4)", "(1,2), (4,3)"),
    ("x = 3", r"x \neq 3"),
    ("1/0", "2/0"),
    ("2 + 3i", "2 - 3i"),
    ("0.1", "0.10000000000000000001"),
    ("3", r"x \ge 3"),
    ("(1, 2)", "1 < x < 2"),  # of a point
    ("[1, 2]", "1 < x < 2"),
    # units and magnitudes
    (r"5\text{ m}", r"5\text{ km}"),
    ("5 km", "5 cm"),
    ("5", r"5\text{ million}"),
    (r"\$5", "\u20ac5"),
    ("0.5", r"0.5\%"),
    # labels
    ("5", "The answer is not 5"),
    ("5", "The answer is 4 or 5"),
    ("5", "Question: 5"),
]

SAME = [
    (r"\frac{1}{1998!}", r"\frac{1}{1998!}+0"),
    (r"\frac{1}{2^{88}}", r"2^{-88}"),
    (r"\sqrt{2}+\sqrt{3}", r"\sqrt{5+2\sqrt{6}}"),
    (r"\pi", "3.14159"),
    ("3.14159265", r"\pi"),
    (r"\frac{\pi}{2}", "0.5\\pi"),
    ("2.5", r"2\frac{1}{2}"),
    (r"\frac{3}{4}", r"\frac34"),
    ("-3", "\u22123"),
    ("73", "Final answer: **73**"),
    ("13", r"\text{13}"),
    (r"\frac{1}{12}", "0.0833333333333333"),
    (r"(1,\frac{9}{2})", "(1,4.5)"),
    (r"\frac{x+2}{7}", r"\frac{x}{7}+\frac{2}{7}"),
    (r"\tan^2(y)+1", r"\sec^2(y)"),
    (r"\begin{pmatrix} 1 & -2 \\ 3 & 4 \\ \end{pmatrix}", r"\begin{pmatrix} 1 & -2 \\ 3 & 4 \end{pmatrix}"),
    (r"(\begin{pmatrix} 1 \\ 2 \\ \end{pmatrix})", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
    ("34x+45y-20z+100=0", "-34x-45y+20z-100=0"),
    ("x + 2y = 3", "2x + 4y = 6"),
    ("y = 2x + 1", "2x - y + 1 = 0"),
    ("x > 3", "3 < x"),
    ("x > 3", "-2x < -6"),
    ("1 < x < 2", "2 > x > 1"),
    ("x = 5", "5"),
    ("5", "x = 5"),
    ("5", "x = 2 + 3 = 5"),
    ("5", "AB = 5"),
    (r"\frac{1}{2}", r"\sin x = \frac{1}{2}"),
    (r"\{1, 2\}", r"x \in \{2, 1\}"),
    ("1, 2", r"x = 1 \text{ or } x = 2"),
    ("1, 2, 3", r"3, 1 \text{ and } 2"),
    (r"\{1, 2\}", "2, 1"),
    ("5", r"\{5\}"),
    ("1 < x < 2", "(1, 2)"),
    (r"[0, \infty)", r"x \ge 0"),
    ("[1, 2]", r"1 \le x \le 2"),
    (r"\mathrm{e}^2", "e^2"),
    (r"1 - \frac{1}{\mathrm{e}}", r"1 - e^{-1}"),
    ("2+3i", "3i + 2"),
    ("120_{3}", "120_3"),
    (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
    ("(x-1)(x+1)", "x^2-1"),
    ("f(x) = x^2+1", "x^2+1"),
    (r"\left\{1,2\right\}", r"\{1, 2\}"),
    (r"\cot x", r"\frac{1}{\tan x}"),
    (r"100\pi", r"100 \pi \text{ cm}^2"),
    (r"\sqrt{5}", "5^{0.5}"),
    (r"(2, \infty) \cup (-\infty, 1)", r"(-\infty, 1) \cup (2, \infty)"),
    (r"\pm 5", "5, -5"),
    (r"1, 2, \ldots, n", r"1,2,\dots,n"),
    ("2:3", "4:6"),
    (r"4\sqrt{2}", r"4\sqrt(2)"),
    ("6x", "(2)(3x)"),
    (r"12\text{ cm}", "12"),
    ("12", "12 cm"),
    (r"12\text{ cm}^2", r"12\text{ square centimeters}"),
    (r"12\%", r"12\%"),
    ("50", r"50\%"),
    ("0.5", r"50\%"),
    (r"50\%", "0.5"),
    (r"\$5", "5"),
    ("5", r"\text{Answer: } 5"),
    ("5", r"The answer is: $\boxed{5}$."),
    ("5", "Answer = 5"),
    ("5", "#### 5"),
    (r"3.00 \times 10^{8}", "300000000"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("pairs", "score"), [(DIFFERENT, 0.0), (SAME, 1.0)], ids=["different", "same"])
def test_values_are_compared_exactly(pairs: list[tuple[str, str]], score: float) -> None:
    grader = MathGrader(MathGraderConfig(type="math", answer_in="answer", timeout_s=20.0), Services())
    try:
        grades = grader.grade(
            [Sample(output_text=f"<answer>{answer}</answer>", item={"gt_answer": wanted}) for wanted, answer in pairs]
        )
    finally:
        grader.close()
    assert [pair for pair, grade in zip(pairs, grades, strict=True) if grade.score != score] == []
