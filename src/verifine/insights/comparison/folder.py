"""A comparison on disk: `compare.html`, `compare.svg`, `compare.png` and `compare.json`; of a sweep also `sweep.md`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from verifine.insights.charts import to_png, to_svg
from verifine.insights.comparison.page import render_comparison
from verifine.insights.comparison.plain_values import comparison_numbers
from verifine.insights.comparison.plot import draw_comparison
from verifine.insights.comparison.run_comparison import RunComparison
from verifine.insights.comparison.sections import Section, to_markdown
from verifine.insights.comparison.sentences import run_table
from verifine.insights.comparison.sweep_results import SweepResults, sweep_numbers, sweep_sections
from verifine.machine.disk import write_whole
from verifine.runs.directory import write_json, write_text
from verifine.types import Json


def write_comparison(folder: Path, comparison: RunComparison) -> list[Path]:
    """Write everything into a folder; the paths, the page first."""
    return _write(folder, comparison, comparison_numbers(comparison))


def write_sweep_comparison(folder: Path, results: SweepResults, command: str) -> list[Path]:
    """As `write_comparison`, with the numbers over seeds in `compare.json` too, and `sweep.md`, which comes first.

    `command` is the one that trained the runs.
    """
    runs = Section(heading="Runs", table=run_table(results.comparison))
    text = to_markdown([*sweep_sections(results), runs])
    path = folder / "sweep.md"
    write_text(path, f"# Sweep {folder.resolve().name}\n\n```\n{command}\n```\n\n{text}")
    return [path, *_write(folder, results.comparison, sweep_numbers(results))]


def _write(folder: Path, comparison: RunComparison, content: Mapping[str, Json]) -> list[Path]:
    page, svg, png, numbers = (folder / f"compare.{ending}" for ending in ("html", "svg", "png", "json"))
    figure = draw_comparison(comparison)
    write_text(page, render_comparison(comparison, figure))
    write_text(svg, to_svg(figure, "compare"))
    write_whole(png, to_png(figure))
    write_json(numbers, content)
    return [page, svg, png, numbers]
