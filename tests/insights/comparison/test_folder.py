from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from verifine.insights.comparison.folder import write_comparison
from verifine.insights.comparison.page import render_comparison
from verifine.insights.comparison.plain_values import comparison_numbers
from verifine.insights.comparison.plot import draw_comparison
from verifine.insights.comparison.run_comparison import RunComparison, compare_runs
from verifine.runs.record import RunRecord

MakeRun = Callable[..., RunRecord]


class Page(HTMLParser):
    """Collects a page's tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def comparison(make_run: MakeRun) -> RunComparison:
    runs = [make_run("a", rewards=[4.0, 1.0]), make_run("b", seed=1, rewards=[2.0], right="1000")]
    return compare_runs([*runs, make_run("c", algorithm="dapo", right="1111")])


def test_four_files_are_written_the_page_first(comparison: RunComparison, tmp_path: Path) -> None:
    paths = write_comparison(tmp_path, comparison)
    assert [path.name for path in paths] == ["compare.html", "compare.svg", "compare.png", "compare.json"]
    assert all(path.stat().st_size > 0 for path in paths)
    assert json.loads(paths[3].read_text()) == comparison_numbers(comparison)


def test_the_page_says_everything_and_asks_nothing_of_the_network(comparison: RunComparison) -> None:
    page = Page(render_comparison(comparison, draw_comparison(comparison)))
    for text in ("dapo", "algorithm.name", "over 2 seeds", "Better than grpo?", "One seed only: dapo.", "finished"):
        assert text in page.text
    assert page.tags.count("svg") == 1
    assert page.tags.count("table") == 4
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    links = [value for name, value in page.attributes if name in {"src", "href", "xlink:href", "action"}]
    assert all(link.startswith("#") for link in links)
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_one_variant_has_a_page_without_verdicts(make_run: MakeRun) -> None:
    comparison = compare_runs([make_run("a")])
    page = Page(render_comparison(comparison, draw_comparison(comparison)))
    assert "Nothing but the seed." in page.text
    assert "Better than" not in page.text


def test_a_label_is_text_and_never_markup(make_run: MakeRun) -> None:
    comparison = compare_runs([make_run("a")], ["<script>alert(1)</script>"])
    html = render_comparison(comparison, draw_comparison(comparison))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_the_numbers_are_those_of_the_curves_and_results(comparison: RunComparison) -> None:
    numbers = json.loads(json.dumps(comparison_numbers(comparison), allow_nan=False))
    assert numbers["differences"][0] == {"key": "algorithm.name", "values": {"grpo": "grpo", "dapo": "dapo"}}
    grpo, dapo = numbers["variants"]
    assert (grpo["name"], dapo["name"]) == ("grpo", "dapo")
    assert grpo["runs"][1] == {"name": "b", "seed": 1, "steps": 1, "ending": "finished"}
    curve = grpo["curves"]["reward"]
    assert (curve["step"], curve["n"], curve["common_until"]) == ([1, 2], [2, 1], 1)
    assert (curve["mean"][0], curve["min"][0], curve["max"][0]) == (3.0, 2.0, 4.0)
    assert grpo["result"]["moves"]["answer_accuracy"]["after"] == 0.375
    assert grpo["result"]["moves"]["answer_accuracy"]["interval"]["source"] == "seeds"
    assert dapo["result"]["moves"]["answer_accuracy"]["interval"]["source"] == "problems"
    assert numbers["verdicts"][0]["conclusion"] == "no evidence"
    assert numbers["smoothing"] == 0.8
