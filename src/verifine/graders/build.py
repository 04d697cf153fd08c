"""From a grader's configuration to the grader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any, Protocol, TypeVar

from verifine.config.graders import (
    AnswerGraderConfig,
    AnyGrader,
    ChoiceGraderConfig,
    CodeGraderConfig,
    EndpointGraderConfig,
    FormatGraderConfig,
    JsonSchemaGraderConfig,
    LabelModelGraderConfig,
    MathGraderConfig,
    MultiGraderConfig,
    NumberGraderConfig,
    PythonGraderConfig,
    ScoreModelGraderConfig,
    SingleGrader,
    StringCheckGraderConfig,
    TextSimilarityGraderConfig,
    WeightedGraderConfig,
)
from verifine.config.graders.base import BaseGraderConfig
from verifine.errors import GraderError
from verifine.graders.answer import AnswerGrader
from verifine.graders.choice import ChoiceGrader
from verifine.graders.code import CodeGrader
from verifine.graders.combined import CombinedGrader
from verifine.graders.embeddings import RemoteEmbedder
from verifine.graders.endpoint import EndpointGrader
from verifine.graders.format import FormatGrader
from verifine.graders.grader import Grader, PerSampleGrader
from verifine.graders.json_schema import JsonSchemaGrader
from verifine.graders.judge import JudgeGrader, label_question, score_question
from verifine.graders.math import MathGrader
from verifine.graders.multi import MultiGrader
from verifine.graders.number import NumberGrader
from verifine.graders.python import PythonGrader
from verifine.graders.services import ALONE, Services
from verifine.graders.string_check import StringCheckGrader
from verifine.graders.text_similarity import CosineSimilarityGrader, TextSimilarityGrader
from verifine.graders.weighted import WeightedGrader
from verifine.types import Grade, Sample

Config = TypeVar("Config", bound=BaseGraderConfig)
Builder = Callable[[Config, Services], Grader]


def build_grader(config: AnyGrader, services: Services = ALONE) -> Grader:
    """The grader, ready to use; its owner closes it.

    Raises:
        GraderError: it cannot be used, for example because the Python source is broken.
        SandboxUnavailableError: it runs untrusted code, and this machine cannot hold it.
    """
    return _BUILDERS[type(config)](config, services)


class _GradesOne(Protocol):
    def grade_one(self, sample: Sample) -> Grade: ...


def _one_by_one(grader: Callable[[Config], _GradesOne], *, is_timed: bool = False) -> Builder[Config]:
    return lambda config, _: PerSampleGrader(grader(config).grade_one, is_timed=is_timed)


def _build_text_similarity(config: TextSimilarityGraderConfig, services: Services) -> Grader:
    if config.evaluation_metric != "cosine":
        return PerSampleGrader(TextSimilarityGrader(config).grade_one, is_timed=True)
    embedder = services.grading.embedder
    return CosineSimilarityGrader(config, embedder=None if embedder is None else RemoteEmbedder(embedder, services))


def _build_multi(config: MultiGraderConfig, services: Services) -> Grader:
    return CombinedGrader(_build_parts(config.graders, services), MultiGrader(config).combine)


def _build_weighted(config: WeightedGraderConfig, services: Services) -> Grader:
    return CombinedGrader(_build_parts(config.graders, services), WeightedGrader(config.weights).combine)


def _build_parts(configs: Mapping[str, SingleGrader], services: Services) -> dict[str, Grader]:
    """The graders inside another one, by their names."""
    graders: dict[str, Grader] = {}
    with ExitStack() as built:  # what was built is closed if the next one cannot be
        for name, config in configs.items():
            try:
                graders[name] = build_grader(config, services)
            except GraderError as error:
                raise GraderError(f"graders.{name}: {error}") from error
            built.callback(graders[name].close)
        built.pop_all()
    return graders


_BUILDERS: Mapping[type[BaseGraderConfig], Builder[Any]] = {
    StringCheckGraderConfig: _one_by_one(StringCheckGrader),
    TextSimilarityGraderConfig: _build_text_similarity,
    PythonGraderConfig: PythonGrader,
    ScoreModelGraderConfig: lambda config, services: JudgeGrader(score_question(config), services),
    LabelModelGraderConfig: lambda config, services: JudgeGrader(label_question(config), services),
    AnswerGraderConfig: _one_by_one(AnswerGrader),
    MathGraderConfig: MathGrader,
    CodeGraderConfig: CodeGrader,
    NumberGraderConfig: _one_by_one(NumberGrader),
    ChoiceGraderConfig: _one_by_one(ChoiceGrader),
    FormatGraderConfig: _one_by_one(FormatGrader, is_timed=True),
    JsonSchemaGraderConfig: _one_by_one(JsonSchemaGrader, is_timed=True),
    EndpointGraderConfig: EndpointGrader,
    MultiGraderConfig: _build_multi,
    WeightedGraderConfig: _build_weighted,
}
"""The runtime of every grader type: the table that a new type is added to."""
