"""The page of a comparison: one HTML file without external files."""

from __future__ import annotations

from matplotlib.figure import Figure

from verifine.insights.charts import to_inline_svg
from verifine.insights.comparison.run_comparison import RunComparison
from verifine.insights.comparison.sentences import (
    describe_comparison,
    difference_table,
    explain_verdicts,
    result_table,
    run_table,
    verdict_table,
)
from verifine.insights.outcome import pluralize
from verifine.insights.pages import render_page
from verifine.insights.theme import VARIANTS


def render_comparison(comparison: RunComparison, figure: Figure) -> str:
    """The page, with the figure that `plot` drew."""
    return render_page(
        "comparison/page.html.j2",
        names=[entry.variant.name for entry in comparison.entries],
        outcome=describe_comparison(comparison),
        facts=[
            ("Variants", str(len(comparison.entries))),
            ("Runs", str(sum(entry.result.runs for entry in comparison.entries))),
            (
                "Steps",
                pluralize(max(int(entry.result.steps.high) for entry in comparison.entries), "step") + " at most",
            ),
        ],
        figure=to_inline_svg(figure, "comparison", "Curves of the variants by step, and their held-out results"),
        colours=list(VARIANTS),
        results=result_table(comparison),
        verdicts=verdict_table(comparison),
        verdicts_explained=explain_verdicts(comparison),
        differences=difference_table(comparison),
        notes=comparison.notes,
        runs=run_table(comparison),
    )
