"""The table and the figure of docs/recipes.md, from the results of the recipes.

python examples/recipe_page.py
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from matplotlib import rc_context
from matplotlib.figure import Figure
from recipe_results import HeldOut, RecipeResult, SeedResult, read_result

from verifine.insights.charts import ROW_HEIGHT, STYLE, WIDTH, add_panels, finish, numbers, place_panels, to_png
from verifine.insights.outcome import describe_interval, describe_probability
from verifine.insights.smoothing import smoothed
from verifine.insights.theme import VARIANTS
from verifine.runs.evaluations import Measure

EXAMPLES = Path(__file__).parent
PAGE = EXAMPLES.parent / "docs" / "recipes.md"
FIGURE = PAGE.with_suffix(".png")
MEASURES: Mapping[Measure, str] = {
    "answer": "right answers",
    "reward": "average reward",
    "second_answer": "right answers, whatever their form",
    "second_score": "score of the second grader",
}
_TABLE = re.compile(r"(?<=<!-- table -->\n).*?(?=<!-- end -->)", re.DOTALL)
_COLOURS = [colour.light for colour in VARIANTS.values()]
_DPI = 110


def read_results() -> dict[str, RecipeResult]:
    """Of every recipe that has one, by name."""
    return {path.parent.name: read_result(path) for path in sorted(EXAMPLES.glob("*/result.json"))}


def table(results: Mapping[str, RecipeResult]) -> str:
    """A row a run."""
    head = ("recipe", "seed", "measured", "before", "after", "difference", "by form", "by answers", "steps", "minutes")
    rows = [
        (f"[{name}](../examples/{name}/README.md)", *_cells(result, run))
        for name, result in results.items()
        for run in result.runs
    ]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [head, ("---",) * len(head), *rows])


def _cells(result: RecipeResult, run: SeedResult) -> tuple[str, ...]:
    form = run.gain_by_form
    parts = ("", "") if form is None else (f"{form:+.2f}", f"{run.difference - form:+.2f}")
    interval = (
        "" if run.interval is None else f" ({describe_interval(run.interval)}, {describe_probability(run.p_value)})"
    )
    return (
        str(run.seed),
        f"{MEASURES[result.measure]}, {result.problems} rows",
        _held_out(run.base),
        _held_out(run.tuned),
        f"{run.difference:+.2f}{interval}",
        *parts,
        str(run.steps),
        f"{run.minutes:.1f}",
    )


def _held_out(held_out: HeldOut) -> str:
    interval = "" if held_out.interval is None else f" ({describe_interval(held_out.interval)})"
    return f"{held_out.score:.2f}{interval}"


def figure(results: Mapping[str, RecipeResult]) -> bytes:
    """A panel a recipe: the reward of each step's sampled answers, smoothed, a line a seed."""
    with rc_context(STYLE):
        drawn = Figure(figsize=(WIDTH, ROW_HEIGHT * ((len(results) + 1) // 2)))
        for axes, (name, result) in zip(add_panels(drawn, len(results)), results.items(), strict=True):
            _draw(axes, result.runs)
            axes.set_ylim(0, 1.04)
            finish(
                axes,
                f"{name}: reward {_mean_of_last(result.runs):.2f} at the end",
                max(run.steps for run in result.runs),
            )
        place_panels(drawn)
        return to_png(drawn, _DPI)


def _draw(axes: object, runs: Sequence[SeedResult]) -> None:
    for run, colour in zip(runs, _COLOURS, strict=False):
        axes.plot(range(1, run.steps + 1), numbers(smoothed(run.rewards)), color=colour, linewidth=2)  # type: ignore[attr-defined]


def _mean_of_last(runs: Sequence[SeedResult]) -> float:
    """The last smoothed reward, as drawn."""
    return fmean(smoothed(run.rewards)[-1] or 0.0 for run in runs)


def with_table(page: str, results: Mapping[str, RecipeResult]) -> str:
    return _TABLE.sub(lambda _: table(results), page)


def main() -> None:
    results = read_results()
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    FIGURE.write_bytes(figure(results))


if __name__ == "__main__":
    main()
