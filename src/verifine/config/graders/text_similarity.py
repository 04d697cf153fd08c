"""OpenAI's text similarity."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.fields import PASS_THRESHOLD
from verifine.config.graders.schema import Template
from verifine.config.graders.template import is_output_text
from verifine.config.graders.traits import GraderTraits, Recognition

SimilarityMetric = Literal[
    "fuzzy_match",
    "bleu",
    "gleu",
    "meteor",
    "rouge_1",
    "rouge_2",
    "rouge_3",
    "rouge_4",
    "rouge_5",
    "rouge_l",
    "cosine",
]


class TextSimilarityGraderConfig(SingleGraderConfig):
    """OpenAI's text similarity: how alike two texts are, from 0 to 1."""

    judges_format: ClassVar[bool] = False
    type: Literal["text_similarity"]
    name: str = "text_similarity"
    input: Template = Field(description="The text to judge, e.g. {{ sample.output_text }}.")
    reference: Template = Field(description="What it is compared with, e.g. {{ item.gt_answer }}.")
    evaluation_metric: SimilarityMetric = Field(
        description="fuzzy_match compares letters; bleu, gleu, meteor and rouge compare words; cosine compares "
        "embeddings and needs `grading.embedder`."
    )
    pass_threshold: float | None = PASS_THRESHOLD

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(self.input, self.reference),
            references=(self.reference,),
            judges_format=self.judges_format,
            requests_per_answer=int(self.evaluation_metric == "cosine"),
            is_cheap=False,
            recognition=Recognition.MUST if is_output_text(self.input) else Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=False,
            passing_score=self.pass_threshold,
        )
