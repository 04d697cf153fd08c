"""Whether the whole answer has a format: a regular expression, or tags in their order."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import FormatGraderConfig
from verifine.config.graders.format import tags_of
from verifine.graders.patterns import BoundedPattern
from verifine.graders.unseen import is_unseen
from verifine.types import Grade, Sample


class FormatGrader:
    """1 if the whole answer has the format, else 0; unscorable if the expression takes too long to tell."""

    def __init__(self, config: FormatGraderConfig) -> None:
        """GraderError if the pattern cannot be used."""
        self._name = config.name
        self._pattern = None if config.pattern is None else BoundedPattern(config.pattern, dot_matches_newline=True)
        self._tags = tags_of(config.template or "")

    def grade_one(self, sample: Sample) -> Grade:
        text = sample.output_text
        fits = has_tags(text, self._tags) if self._pattern is None else self._pattern.matches(text)
        return Grade(score=float(fits), parts={self._name: float(fits)}, format_ok=fits)


def has_tags(text: str, tags: Sequence[str]) -> bool:
    """Whether each tag opens and closes exactly once, in this order, with text inside and nothing seen outside."""
    rest = text
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if text.count(opening) != 1 or text.count(closing) != 1:
            return False
        before, opened, behind = rest.partition(opening)
        inside, closed, rest = behind.partition(closing)
        if not opened or not closed or not is_unseen(before) or is_unseen(inside):
            return False
    return is_unseen(rest)
