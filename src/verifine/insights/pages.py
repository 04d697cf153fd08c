"""HTML pages without external files."""

from __future__ import annotations

from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from verifine.insights.theme import THEME


def render_page(template: str, **values: object) -> str:
    """The page. Everything a model or a user wrote is escaped."""
    return _ENVIRONMENT.get_template(template).render(theme=THEME, **values)


def _read(template: str) -> str:
    return files(__package__).joinpath(template).read_text(encoding="utf-8")


_ENVIRONMENT = Environment(
    loader=FunctionLoader(_read),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
"""Shared, because it keeps the templates that it has compiled."""
