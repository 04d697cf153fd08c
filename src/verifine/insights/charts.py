"""The style of all figures, their grid of panels, and how they are saved.

A figure is drawn in the colours of the light page. Inside a page they become the page's CSS variables, so one figure
suits a light and a dark page; the text stays text, so it can be searched and takes the page's font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from verifine.insights.theme import THEME

INK, MUTED, RULE = (THEME[name].light for name in ("ink", "muted", "rule"))

WIDTH, ROW_HEIGHT = 9.2, 3.0
"""In inches."""

PNG_DPI = 200

STYLE = {
    "font.size": 9.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "ytick.major.size": 0,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
}
"""The style to draw every figure in: `with rc_context(STYLE)`."""


def make_layout() -> ConstrainedLayoutEngine:
    return ConstrainedLayoutEngine(hspace=0.09, wspace=0.06)


def add_panels(figure: Figure, count: int) -> list[Any]:
    """The axes of `count` panels, two a row."""
    rows = (count + 1) // 2
    return [figure.add_subplot(rows, 2, position) for position in range(1, count + 1)]


def finish(axes: Any, title: str, last_step: int) -> None:
    """Name the panel and lay out its axis of steps, which ends a little after `last_step`."""
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.set_xlim(-0.02 * last_step, 1.02 * last_step)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))


def numbers(values: Sequence[float | None]) -> list[float]:
    """Missing values as NaN, which matplotlib leaves out."""
    return [float("nan") if value is None else value for value in values]


def to_inline_svg(figure: Figure, name: str, label: str) -> str:
    """SVG to embed in a page; `name` is unique in the page, `label` describes the figure to screen readers."""
    svg = _svg(figure, name, transparent=True)
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # two figures in one page must not share ids, and none of these is used
    variables = {colour.light: f"var(--{role})" for role, colour in THEME.items()}
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda colour: variables.get(colour[0], colour[0]), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def to_svg(figure: Figure, name: str) -> str:
    """SVG as a file of its own, on white."""
    return _svg(figure, name, transparent=False)


def to_png(figure: Figure) -> bytes:
    """PNG on white."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure, name: str, *, transparent: bool) -> str:
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):  # fixed, so the same run gives the same file
        figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None})
    svg = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
