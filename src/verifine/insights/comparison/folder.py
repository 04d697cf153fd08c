"""A comparison on disk: `compare.html`, `compare.svg`, `compare.png` and `compare.json`."""

from __future__ import annotations

from pathlib import Path

from verifine.insights.charts import to_png, to_svg
from verifine.insights.comparison.page import render_comparison
from verifine.insights.comparison.plain_values import comparison_numbers
from verifine.insights.comparison.plot import draw_comparison
from verifine.insights.comparison.run_comparison import RunComparison
from verifine.machine.disk import write_whole
from verifine.runs.directory import write_json, write_text


def write_comparison(folder: Path, comparison: RunComparison) -> list[Path]:
    """Write everything into a folder; the paths, the page first."""
    page, svg, png, numbers = (folder / f"compare.{ending}" for ending in ("html", "svg", "png", "json"))
    figure = draw_comparison(comparison)
    write_text(page, render_comparison(comparison, figure))
    write_text(svg, to_svg(figure, "compare"))
    write_whole(png, to_png(figure))
    write_json(numbers, comparison_numbers(comparison))
    return [page, svg, png, numbers]
