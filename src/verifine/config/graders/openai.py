"""OpenAI's graders, in OpenAI's form."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from verifine.config.graders.schema import Schema, Template

MAX_SOURCE_BYTES = 256 << 10

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

_PASS_THRESHOLD = "The score from which an answer counts as solved in pass@k; training does not look at it."  # noqa: S105 - no password


class StringCheckGraderConfig(Schema):
    """OpenAI's string check: 1 if the comparison holds, else 0."""

    type: Literal["string_check"]
    name: str = "string_check"
    input: Template = Field(description="The text to judge, e.g. {{ sample.output_text }}.")
    reference: Template = Field(description="What it is compared with, e.g. {{ item.gt_answer }}.")
    operation: Literal["eq", "ne", "like", "ilike"] = Field(
        description="eq and ne compare whole texts; like and ilike (any case) ask whether input contains reference."
    )


class TextSimilarityGraderConfig(Schema):
    """OpenAI's text similarity: how alike two texts are, from 0 to 1."""

    type: Literal["text_similarity"]
    name: str = "text_similarity"
    input: Template = Field(description="The text to judge, e.g. {{ sample.output_text }}.")
    reference: Template = Field(description="What it is compared with, e.g. {{ item.gt_answer }}.")
    evaluation_metric: SimilarityMetric = Field(
        description="fuzzy_match compares letters; bleu, gleu, meteor and rouge compare words; cosine compares "
        "embeddings and needs `grading.embedder`."
    )
    pass_threshold: float | None = Field(default=None, description=_PASS_THRESHOLD)


class PythonGraderConfig(Schema):
    """OpenAI's Python grader: `source` defines `grade(sample: dict, item: dict) -> float`.

    It runs in the sandbox: no network, no files, no other processes; a fresh process for each answer.
    """

    type: Literal["python"]
    name: str = "python"
    source: str = Field(description="Python source that defines grade(sample, item) -> float; 256 KiB at most.")
    image_tag: str | None = Field(default=None, description="OpenAI's runtime tag; accepted and ignored.")
    timeout_s: float = Field(default=5.0, gt=0, le=600, description="Seconds one call may take.")
    memory_mb: int = Field(default=1024, ge=64, le=65536, description="MiB one call may use.")

    @model_validator(mode="after")
    def _source_is_not_too_long(self) -> Self:
        size = len(self.source.encode(errors="surrogatepass"))
        if size >= MAX_SOURCE_BYTES:
            raise ValueError(f"`source` has {size} bytes; it must have fewer than {MAX_SOURCE_BYTES}")
        return self


class InputText(Schema):
    """A text in a judge's message."""

    type: Literal["input_text"]
    text: Template


class OutputText(Schema):
    """A text that a model wrote, in a judge's message."""

    type: Literal["output_text"]
    text: Template


class InputImage(Schema):
    """An image in a judge's message."""

    type: Literal["input_image"]
    image_url: Template
    detail: Literal["auto", "low", "high"] | None = None


class Audio(Schema):
    """Sound, as base64."""

    data: Template
    format: Literal["mp3", "wav"]


class InputAudio(Schema):
    """Sound in a judge's message."""

    type: Literal["input_audio"]
    input_audio: Audio


JudgePart = Annotated[InputText | OutputText | InputImage | InputAudio, Field(discriminator="type")]


def _kind_of(content: object) -> str:
    if isinstance(content, str):
        return "<text>"
    return "<parts>" if isinstance(content, list | tuple) else "<part>"


JudgeText = Annotated[Annotated[Template, Tag("<text>")] | Annotated[JudgePart, Tag("<part>")], Discriminator(_kind_of)]
JudgeContent = Annotated[
    Annotated[Template, Tag("<text>")]
    | Annotated[JudgePart, Tag("<part>")]
    | Annotated[tuple[JudgeText, ...], Tag("<parts>")],
    Discriminator(_kind_of),
]


class JudgeMessage(Schema):
    """A turn of the chat that the judge reads."""

    role: Literal["user", "assistant", "system", "developer"]
    content: JudgeContent = Field(description="Text, or parts such as {type: input_text, text: ...}.")
    type: Literal["message"] | None = None


class JudgeSampling(Schema):
    """How the judge is sampled; null leaves it to the judge's server."""

    seed: int | None = None
    top_p: float | None = Field(default=None, gt=0, le=1)
    temperature: float | None = Field(default=None, ge=0)
    max_completions_tokens: int | None = Field(
        default=None, ge=1, description="Longest verdict, in tokens; OpenAI writes it with this s."
    )
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None


Judged = Annotated[tuple[JudgeMessage, ...], Field(min_length=1)]


class ScoreModelGraderConfig(Schema):
    """OpenAI's model judge: another model reads the answer and gives it a number."""

    type: Literal["score_model"]
    name: str = "score_model"
    model: str = Field(min_length=1, description="The judge, as the server of `grading.judge` calls it.")
    input: Judged = Field(description="The chat that the judge reads; what it should value is written here.")
    range: tuple[float, float] = Field(default=(0.0, 1.0), description="Lowest and highest score; beyond is clipped.")
    sampling_params: JudgeSampling | None = Field(default=None, description="How the judge is sampled.")
    pass_threshold: float | None = Field(default=None, description=_PASS_THRESHOLD)

    @field_validator("range", mode="before")
    @classmethod
    def _null_is_the_default(cls, value: object) -> object:
        return (0.0, 1.0) if value is None else value

    @model_validator(mode="after")
    def _range_rises(self) -> Self:
        if not self.range[0] < self.range[1]:
            raise ValueError(f"`range` is {list(self.range)}, but must be [lowest, highest]")
        return self


class LabelModelGraderConfig(Schema):
    """OpenAI's labelling judge, inside `multi` or `weighted`: 1 if the label is a passing one, else 0."""

    type: Literal["label_model"]
    name: str = "label_model"
    model: str = Field(min_length=1, description="The judge, as the server of `grading.judge` calls it.")
    input: Judged = Field(description="The chat that the judge reads.")
    labels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="The labels it chooses from.")
    passing_labels: Annotated[tuple[str, ...], Field(min_length=1)] = Field(description="Those that score 1.")
    sampling_params: JudgeSampling | None = Field(default=None, description="How the judge is sampled.")

    @model_validator(mode="after")
    def _passing_labels_are_labels(self) -> Self:
        unknown = [label for label in self.passing_labels if label not in self.labels]
        if unknown:
            raise ValueError(f"`passing_labels` names {', '.join(unknown)}; take from {', '.join(self.labels)}")
        return self
