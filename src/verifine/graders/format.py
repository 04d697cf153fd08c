"""Whether the whole answer has a format: a regular expression, or tags in their order."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders import FormatGraderConfig
from verifine.config.graders.format import tags_of
from verifine.data.thoughts import CLOSING, OPENING
from verifine.graders.opened import closed_tags, with_opened, written
from verifine.graders.patterns import BoundedPattern
from verifine.graders.unseen import is_unseen
from verifine.types import Grade, Sample


class FormatGrader:
    """1 if the whole answer has the format, else 0; unscorable if the expression takes too long to tell."""

    def __init__(self, config: FormatGraderConfig) -> None:
        """GraderError if the pattern cannot be used."""
        self._name = config.name
        self._pattern = None if config.pattern is None else BoundedPattern(config.pattern, dot_matches_newline=True)
        self._tags = tags_of(config.template or "") if config.pattern is None else _tags_in(config.pattern)

    def grade_one(self, sample: Sample) -> Grade:
        fits = self._has_tags(sample) if self._pattern is None else self._matches(self._pattern, sample)
        return Grade(score=float(fits), parts={self._name: float(fits)}, format_ok=fits)

    def _has_tags(self, sample: Sample) -> bool:
        whole, tags = with_opened(sample, self._tags), self._tags
        return has_tags(whole, tags, closed_tags(sample, tags)) or has_tags(written(sample, tags), tags)

    def _matches(self, pattern: BoundedPattern, sample: Sample) -> bool:
        text = written(sample, self._tags)
        texts = dict.fromkeys((text, sample.opened + text))
        return any(pattern.matches(text) for text in texts)


def _tags_in(pattern: str) -> tuple[str, ...]:
    """Whether an expression looks at thoughts, as the tag that graders of thoughts look for."""
    return ("think",) if OPENING in pattern or CLOSING in pattern else ()


def has_tags(text: str, tags: Sequence[str], may_be_empty: Sequence[str] = ()) -> bool:
    """Whether each tag opens and closes exactly once, in this order, with text inside and nothing seen outside.

    Those that `may_be_empty` need no text inside.
    """
    rest = text
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if text.count(opening) != 1 or text.count(closing) != 1:
            return False
        before, opened, behind = rest.partition(opening)
        inside, closed, rest = behind.partition(closing)
        if not opened or not closed or not is_unseen(before) or (is_unseen(inside) and tag not in may_be_empty):
            return False
    return is_unseen(rest)
