"""Fields that several grader types have."""

from __future__ import annotations

from typing import Any

from pydantic import Field

OUTPUT_TEXT = "{{ sample.output_text }}"
REFERENCE_FIELD = "gt_answer"
"""The field of a row that holds the right answer, unless a grader reads it from another."""
GT_ANSWER = f"{{{{ item.{REFERENCE_FIELD} }}}}"

INPUT: Any = Field(default=OUTPUT_TEXT, description="The text to judge.")
REFERENCE: Any = Field(default=GT_ANSWER, description="The right answer.")
UNITS: Any = Field(
    default=(),
    description="Units that may stand beside a number, such as km. Name them if answers or rows write one; different "
    "units are then different answers. Currencies and % are known.",
)
PASS_THRESHOLD: Any = Field(
    default=None,
    description="The score from which an answer counts as solved, in pass@k and in the shares of groups; the reward is "
    "the score itself.",
)
