"""Markdown in which nothing that a model or a user wrote can become markup."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_MARKUP = re.compile(r"([\\`*\[\]|~&$]|<(?=[A-Za-z/!?])|(?<!\w)_|_(?!\w)|^[-+#>]|(?<=^\d)[.)](?= ))")
"""What could begin markup. Signs that mean nothing where they stand are left, so that the source is readable, too."""

_FENCE = "```"

_DIRECTIONS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of what follows (Unicode Standard Annex 9), which marks of right-to-left scripts do not."""


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
    """The text with those characters written out that nobody sees and that hide or reorder their neighbours."""
    lines = text.replace("\r\n", "\n")
    return "".join(_written_out(character) if _is_unseen(character) else character for character in lines)


def _is_unseen(character: str) -> bool:
    """Controls of a terminal, what turns the direction of text, and halves of surrogate pairs, which UTF-8 lacks."""
    is_control = unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t"
    return is_control or character in _DIRECTIONS


def _written_out(character: str) -> str:
    code_point = ord(character)
    return f"\\x{code_point:02x}" if code_point < 0x100 else f"\\u{code_point:04x}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
