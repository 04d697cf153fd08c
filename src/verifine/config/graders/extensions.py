"""Graders that OpenAI does not have, in the same style."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from verifine.config.graders.schema import Address, Schema, Share, Template

OUTPUT_TEXT = "{{ sample.output_text }}"
REFERENCE_FIELD = "gt_answer"
"""The field of a row that holds the right answer, unless a grader reads it from another."""
GT_ANSWER = f"{{{{ item.{REFERENCE_FIELD} }}}}"

_REFERENCE = Field(default=GT_ANSWER, description="The right answer.")
_INPUT = Field(default=OUTPUT_TEXT, description="The text to judge.")


class AnswerGraderConfig(Schema):
    """Judges what stands inside `<answer>...</answer>`: format, and whether the answer is right.

    The format is right when the text holds exactly one pair of tags and ends with it. The score is
    `format_weight` for the format plus the rest for a right answer in the right format, so it is in [0, 1].
    """

    type: Literal["answer"]
    name: str = "answer"
    reference: Template = _REFERENCE
    compare: Literal["exact", "number", "countdown"] = Field(
        default="exact",
        description="exact compares texts without outer blanks; number compares values within `tolerance`; countdown "
        "wants an expression that uses each of the item's `numbers` exactly once and has the value of `reference`.",
    )
    tolerance: float = Field(default=0.0, ge=0, description="Largest difference that number and countdown accept.")
    tag: str = Field(default="answer", pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="The name of the tag.")
    format_weight: Share = Field(default=0.1, description="The part of the score the format alone earns.")


class FormatGraderConfig(Schema):
    """1 if the whole answer matches a regular expression or a template, else 0."""

    type: Literal["format"]
    name: str = "format"
    pattern: str | None = Field(
        default=None, description="A Python regular expression that the whole answer must match; . matches newlines."
    )
    template: str | None = Field(
        default=None,
        description="In place of `pattern`: tags with ... between them, such as "
        "`<think>...</think><answer>...</answer>`. Each tag must stand exactly once, in this order, with something "
        "inside and only blanks outside.",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.pattern is None) == (self.template is None):
            raise ValueError("give either `pattern` (a regular expression) or `template` (tags with ... between them)")
        return self

    @model_validator(mode="after")
    def _pattern_compiles(self) -> Self:
        try:
            with warnings.catch_warnings(action="ignore"):  # of what a later Python may read otherwise
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


_TAG_PAIR = re.compile(r"\s*<(?P<tag>[A-Za-z][\w-]*)>\s*(?:\.\.\.|…)\s*</(?P=tag)>\s*")


def tags_of(template: str) -> tuple[str, ...]:
    """The tags of `<think>...</think><answer>...</answer>`, in order; empty if it is no such template."""
    tags: list[str] = []
    position = 0
    while position < len(template):
        match = _TAG_PAIR.match(template, position)
        if match is None or match["tag"] in tags:
            return ()
        tags.append(match["tag"])
        position = match.end()
    return tuple(tags)


class NumberGraderConfig(Schema):
    """1 if a number in the answer is the right one, within a tolerance, else 0."""

    type: Literal["number"]
    name: str = "number"
    input: Template = _INPUT
    reference: Template = _REFERENCE
    take: Literal["whole", "last"] = Field(
        default="last", description="whole: the text is the number and nothing else; last: the last number in it."
    )
    tolerance: float = Field(default=0.0, ge=0, description="Largest difference that is right.")
    relative_tolerance: float = Field(
        default=0.0, ge=0, description="The same as a share of the reference; the wider of the two holds."
    )


class ChoiceGraderConfig(Schema):
    """1 if the answer decides for the right choice, and for no other, else 0. The format is right if it decides."""

    type: Literal["choice"]
    name: str = "choice"
    input: Template = _INPUT
    reference: Template = _REFERENCE
    choices: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=2)] = Field(
        default=("A", "B", "C", "D"), description="What can be chosen; upper and lower case are the same."
    )
    format_weight: Share = Field(default=0.0, description="The part of the score that deciding earns, right or wrong.")

    @model_validator(mode="after")
    def _choices_differ(self) -> Self:
        if len({choice.casefold() for choice in self.choices}) < len(self.choices):
            raise ValueError("`choices` holds one twice; upper and lower case are the same")
        return self


class JsonSchemaGraderConfig(Schema):
    """1 if the answer is JSON that fits a schema, else 0."""

    type: Literal["json_schema"]
    name: str = "json_schema"
    input: Template = _INPUT
    json_schema: Mapping[str, JsonValue] = Field(
        description="A JSON Schema (draft 2020-12 unless it says otherwise); references must stay inside it."
    )


class MathGraderConfig(Schema):
    r"""Judges a mathematical answer by its value: 1/2, 0.5 and \frac{1}{2} are the same.

    The score is `format_weight` for the format plus the rest for a right answer in the right format.
    """

    type: Literal["math"]
    name: str = "math"
    input: Template = _INPUT
    reference: Template = _REFERENCE
    answer_in: Literal["boxed", "answer", "think_answer", "any"] = Field(
        default="any",
        description="Where the answer stands, which is the format. boxed: the last `\\boxed{}`; answer: one pair of "
        "`<answer>` tags at the end; think_answer: one pair of `<think>`, then one pair of `<answer>` tags at the end; "
        "any: the last `\\boxed{}`, else the `<answer>` tags, else the last line.",
    )
    format_weight: Share = Field(default=0.0, description="The part of the score the format alone earns.")
    text_match_score: Share = Field(
        default=1.0,
        description="What an answer earns, as a share of a right one, that equals the reference as text but cannot "
        "be read as mathematics.",
    )
    timeout_s: float = Field(default=3.0, gt=0, le=60, description="Seconds one comparison may take.")


class CodeGraderConfig(Schema):
    """Runs a Python program that the answer holds on the row's test cases, in the sandbox.

    The program gets inputs and gives back outputs; they are compared outside, so it cannot forge a verdict. The score
    is `format_weight` for a code block plus the rest for passing.
    """

    type: Literal["code"]
    name: str = "code"
    tests: str = Field(
        default="test_cases",
        description="The row's field with {inputs: [...], outputs: [...]}: standard input and output as texts, or "
        "with fn_name the arguments and results of that function.",
    )
    scoring: Literal["all", "share"] = Field(
        default="all", description="all: 1 if every test passes, else 0; share: the share of tests that pass."
    )
    format_weight: Share = Field(default=0.0, description="The part of the score that a code block alone earns.")
    timeout_s: float = Field(default=5.0, gt=0, le=600, description="Seconds one test may take.")
    memory_mb: int = Field(default=512, ge=64, le=65536, description="MiB one test may use.")


class EndpointGraderConfig(Schema):
    """Asks a web service of your own: it gets the sample and the item as JSON and answers `{"score": number}`."""

    type: Literal["endpoint"]
    name: str = "endpoint"
    url: Address = Field(description="Where to POST to.")
    headers: Mapping[str, str] = Field(default={}, description="Sent along; no secrets, since the config is saved.")
    token_env: str | None = Field(
        default=None, description="The environment variable with a token to send as `Authorization: Bearer`."
    )
    secret_env: str | None = Field(
        default=None,
        description="The environment variable with the secret (whsec_...) that requests are signed with, as the "
        "Standard Webhooks specification has it.",
    )
    timeout_s: float = Field(default=30.0, gt=0, le=600, description="Seconds one request may take.")
    max_concurrency: int = Field(default=8, ge=1, le=256, description="Requests under way at once.")
    max_retries: int = Field(default=3, ge=0, le=10, description="Times a failed request is made again.")
