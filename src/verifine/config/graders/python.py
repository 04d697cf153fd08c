"""OpenAI's Python grader."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.traits import GraderTraits, Recognition

MAX_SOURCE_BYTES = 256 << 10


class PythonGraderConfig(SingleGraderConfig):
    """OpenAI's Python grader: `source` defines `grade(sample: dict, item: dict) -> float`.

    It runs in the sandbox: no network, no files, no other processes; a fresh process for each answer.
    """

    judges_format: ClassVar[bool] = False
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

    @property
    def traits(self) -> GraderTraits:
        return GraderTraits(
            templates=(),
            references=(),
            judges_format=self.judges_format,
            requests_per_answer=0,
            is_cheap=False,
            recognition=Recognition.MAY,
            why_untried="",
            tags=(),
            trivial=(),
            is_exact=False,
            passing_score=None,
        )
