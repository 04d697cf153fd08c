"""The form of the whole answer: a regular expression, or tags."""

from __future__ import annotations

import re
import warnings
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.traits import GraderTraits, Recognition


class FormatGraderConfig(SingleGraderConfig):
    """1 if the whole answer matches a regular expression or a template, else 0."""

    judges_format: ClassVar[bool] = True
    type: Literal["format"]
    name: str = "format"
    pattern: str | None = Field(
        default=None, description="A Python regular expression that the whole answer must match; . matches newlines."
    )
    template: str | None = Field(
        default=None,
        description="In place of `pattern`: tags with ... between them, such as "
        "`<think>...</think><answer>...</answer>`. Each tag must stand exactly once, in this order, with text "
        "inside and only blanks and end-of-turn markers outside.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.pattern is None) == (self.template is None):
            raise ValueError("give either `pattern` (a regular expression) or `template` (tags with ... between them)")
        return self

    @model_validator(mode="after")
    def _pattern_compiles(self) -> Self:
        try:
            with warnings.catch_warnings(action="ignore"):  # about syntax that a later Python may read differently
                re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"`pattern` is not a regular expression: {error}") from error
        return self

    @model_validator(mode="after")
    def _template_has_tags(self) -> Self:
        if self.template is not None and not tags_of(self.template):
            raise ValueError(
                f"`template` is {self.template!r}, but must be pairs of tags with ... inside, each tag once, such as "
                "<think>...</think><answer>...</answer>"
            )
        return self

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=True,
            recognition=Recognition.MAY if self.template is None else Recognition.FORM,
            why_untried="it looks at the form alone",
            tags=() if self.template is None else (tags_of(self.template),),
            trivial=(),
            is_exact=False,
            passing_score=None,
        )


_TAG_PAIR = re.compile(r"\s*<(?P<tag>[A-Za-z][\w-]*)>\s*(?:\.\.\.|…)\s*</(?P=tag)>\s*")


def tags_of(template: str) -> tuple[str, ...]:
    """The tags of `<think>...</think><answer>...</answer>`, in order; empty if the text is not such a template."""
    tags: list[str] = []
    position = 0
    while position < len(template):
        match = _TAG_PAIR.match(template, position)
        if match is None or match["tag"] in tags:
            return ()
        tags.append(match["tag"])
        position = match.end()
    return tuple(tags)
