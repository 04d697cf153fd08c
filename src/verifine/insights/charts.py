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
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verifine.insights.theme import THEME

INK, MUTED, RULE = (THEME[name].light for name in ("ink", "muted", "rule"))

WIDTH, ROW_HEIGHT = 9.2, 3.0
"""In inches."""

_TITLE, _TICKS_AND_LABEL, _RIGHT, _TICK_PAD = 0.36, 0.52, 0.24, 0.12
"""Above, below, right and left of a panel, in inches; at the left its tick labels are added."""

_LABEL_DEPTH, _LETTER = 0.32, 0.075
"""How far below a panel the name of its axis stands, and how wide a letter of the tick labels is, in inches."""

PNG_DPI = 200

LARGEST = 1e100
"""With larger numbers the axes overflow."""

STYLE = {
    "font.size": 9.5,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "axes.facecolor": "none",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlepad": 9,
    "axes.titley": 1.0,
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


def place_panels(figure: Figure, *, above: float = 0.0, below: float = 0.0, beside: float = 0.0) -> None:
    """Give finished panels their places, two a row; the margins of the whole figure are in inches.

    What stands around a panel is known, so nothing has to be drawn to be measured, as a layout engine of matplotlib
    would do.
    """
    width, height = figure.get_size_inches()
    columns = min(2, len(figure.axes))
    rows = -(-len(figure.axes) // columns)
    left = beside + _TICK_PAD + _LETTER * max(map(_letters, figure.axes))
    cell_width, cell_height = width / columns, (height - above - below) / rows
    panel_width, panel_height = cell_width - left - _RIGHT, cell_height - _TITLE - _TICKS_AND_LABEL
    for number, axes in enumerate(figure.axes):
        row, column = divmod(number, columns)
        x, y = column * cell_width + left, height - above - (row + 1) * cell_height + _TICKS_AND_LABEL
        axes.set_position((x / width, y / height, panel_width / width, panel_height / height))
        axes.xaxis.set_label_coords(0.5, -_LABEL_DEPTH / panel_height)
        axes.yaxis.set_label_coords((beside - left) / panel_width, 0.5)
        axes.yaxis.get_offset_text().set(x=-0.02, horizontalalignment="right")  # above the tick labels, not the panel


def _letters(axes: Any) -> int:
    """Of the longest label at the left of a panel."""
    formatter = axes.yaxis.get_major_formatter()
    return max(map(len, [*formatter.format_ticks(axes.get_yticks()), formatter.get_offset()]))


def numbers(values: Sequence[float | None]) -> list[float]:
    """Values that are missing, or too large to draw, as NaN, which matplotlib leaves out."""
    return [float("nan") if value is None or abs(value) > LARGEST else value for value in values]


def to_inline_svg(figure: Figure, name: str, label: str) -> str:
    """SVG to embed in a page; `name` is unique in the page, `label` describes the figure to screen readers."""
    svg = _svg(figure, name, background="none")
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # two figures in one page must not share ids, and none of these is used
    variables = {colour.light: f"var(--{role})" for role, colour in THEME.items()}
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda colour: variables.get(colour[0], colour[0]), svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def to_svg(figure: Figure, name: str) -> str:
    """SVG as a file of its own, on white."""
    return _svg(figure, name, background="white")


def to_png(figure: Figure, dpi: int = PNG_DPI) -> bytes:
    """PNG on white."""
    buffer = io.BytesIO()
    figure.set_facecolor("white")
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure, name: str, *, background: str) -> str:
    buffer = io.StringIO()
    figure.set_facecolor(background)
    with rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):  # fixed, so the same run gives the same file
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # draws once, where `savefig` draws twice
    svg = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", svg)
