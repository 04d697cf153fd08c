from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest

from verifine.insights.charts import to_inline_svg, to_png, to_svg
from verifine.insights.comparison.plot import describe_figure, draw_comparison
from verifine.insights.comparison.run_comparison import RunComparison, compare_runs
from verifine.insights.theme import THEME
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


@pytest.fixture
def comparison(make_run: MakeRun) -> RunComparison:
    return compare_runs(
        [make_run(f"{name}-{seed}", algorithm=name, seed=seed) for name in ("grpo", "dapo") for seed in (0, 1)]
    )


def svg_of(comparison: RunComparison) -> str:
    return to_inline_svg(draw_comparison(comparison), "comparison", "label")


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_figure_names_its_panels_and_variants(comparison: RunComparison) -> None:
    shown = texts(svg_of(comparison))
    assert {"Average reward", "Response length (tokens)", "Answer accuracy", "held-out"} <= set(shown)
    assert {"grpo (2 runs)", "dapo (2 runs)"} <= set(shown)


def test_panels_that_no_run_judges_are_left_out(make_run: MakeRun) -> None:
    unjudged = make_run("a", right="????", before=None, metric="kl")
    assert not {"Format accuracy", "Answer accuracy"} & set(texts(svg_of(compare_runs([unjudged]))))


def test_colours_inside_a_page_are_those_of_the_page(comparison: RunComparison) -> None:
    svg = svg_of(comparison)
    assert re.findall(r"#[0-9a-f]{6}\b", svg) == []
    assert "var(--variant-1)" in svg
    assert "var(--variant-2)" in svg
    assert "var(--variant-3)" not in svg


def test_no_two_colours_of_a_light_page_are_the_same() -> None:
    light = [colour.light for colour in THEME.values()]
    assert len(set(light)) == len(light)


def test_alone_the_figure_is_on_white(comparison: RunComparison) -> None:
    figure = draw_comparison(comparison)
    svg, png = to_svg(figure, "compare"), to_png(figure)
    assert svg.startswith("<?xml")
    assert "var(--" not in svg
    assert "#ffffff" in svg
    assert THEME["variant-1"].light in svg
    assert png.startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_same_runs_give_the_same_files(comparison: RunComparison) -> None:
    first, second = draw_comparison(comparison), draw_comparison(comparison)
    assert to_svg(first, "compare") == to_svg(second, "compare")
    assert to_png(first) == to_png(second)


def test_only_where_some_runs_are_over_is_a_line_dashed(make_run: MakeRun) -> None:
    def dashes(*lengths: int) -> int:
        runs = [make_run(str(seed), seed=seed, rewards=[0.5] * length) for seed, length in enumerate(lengths)]
        comparison = compare_runs(runs)
        says_so = any(line.startswith("Dashed") for line in describe_figure(comparison))
        count = len(re.findall(r"stroke-dasharray: [1-9]", svg_of(comparison)))
        assert says_so == (count > 0)
        return count

    assert dashes(5, 5) == 0
    assert dashes(5, 3) == 3  # a line in each panel


def test_the_caption_says_what_is_drawn(make_run: MakeRun) -> None:
    single = describe_figure(compare_runs([make_run("a", right=None)]))
    assert single == ["Line: running mean of each run (weight of the past 0.8)."]
    several = describe_figure(compare_runs([make_run("a"), make_run("b", seed=1, right="1000")]))
    assert several[0].endswith("averaged over the runs. Band: lowest run to highest.")
    assert several[1].endswith("with 95 % interval (Student's t over seeds or Wilson or bootstrap over problems).")


def test_names_are_shown_as_they_are(make_run: MakeRun) -> None:
    comparison = compare_runs([make_run("a"), make_run("b", algorithm="dapo")], ["a $x_1$ <b>", "_hidden & \\frac"])
    shown = texts(svg_of(comparison))
    assert {"a $x_1$ <b> (1 run)", "_hidden & \\frac (1 run)"} <= set(shown)


@pytest.mark.parametrize("steps", [1, 2])
def test_runs_of_few_steps_can_be_drawn(make_run: MakeRun, steps: int) -> None:
    comparison = compare_runs([make_run("a", rewards=[0.5] * steps), make_run("b", seed=1, rewards=[0.5], right=None)])
    assert "Average reward" in texts(svg_of(comparison))


def test_twelve_variants_can_be_drawn(make_run: MakeRun) -> None:
    runs = [make_run(str(steps), sections={"run": {"steps": steps}}) for steps in range(1, 13)]
    shown = texts(svg_of(compare_runs(runs)))
    assert sum(text.endswith("(1 run)") for text in shown) == 12
