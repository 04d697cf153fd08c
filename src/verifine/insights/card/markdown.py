"""Markdown in which nothing that a model or a user wrote can become markup."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKUP = re.compile(r"([\\`*\[\]|~&$]|<(?=[A-Za-z/!?])|(?<!\w)_|_(?!\w)|^[-+#>]|(?<=^\d)[.)](?= ))")
"""What could begin markup. Signs that mean nothing where they stand are left, so that the source is readable, too."""

_FENCE = "```"


def literal(text: str) -> str:
    """One line that is shown as it is."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))


def code(text: str) -> str:
    """Code within a line, also within a cell of a table."""
    content = " ".join(printable(text).split()).replace("|", "\\|")
    ticks = "`" * (1 + _longest_run(content))
    pad = " " if content.startswith("`") or content.endswith("`") else ""
    return f"{ticks}{pad}{content}{pad}{ticks}" if content else ""


def block(text: str, language: str = "text") -> str:
    """A block of code that holds any text."""
    content = printable(text)
    fence = max(_FENCE, "`" * (1 + _longest_run(content)), key=len)
    return f"{fence}{language}\n{content.rstrip()}\n{fence}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right_aligned: Sequence[int] = ()) -> str:
    """Cells are Markdown already."""
    rule = ["---:" if place in right_aligned else "---" for place in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def terms(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of names and what they are; both are Markdown already."""
    return bullets([f"**{name}**: {value}" for name, value in pairs])


def bullets(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def printable(text: str) -> str:
    """The text without half of a surrogate pair, which a row of data may hold and UTF-8 does not."""
    return text.encode(errors="backslashreplace").decode()


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
