"""From a grader's configuration to the grader."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import assert_never

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
from verifine.errors import GraderError
from verifine.graders.answer import AnswerGrader
from verifine.graders.choice import ChoiceGrader
from verifine.graders.code import CodeGrader
from verifine.graders.embeddings import RemoteEmbedder
from verifine.graders.endpoint import EndpointGrader
from verifine.graders.format import FormatGrader
from verifine.graders.grader import Grader
from verifine.graders.json_schema import JsonSchemaGrader
from verifine.graders.judge import LabelModelGrader, ScoreModelGrader
from verifine.graders.math import MathGrader
from verifine.graders.multi import MultiGrader
from verifine.graders.number import NumberGrader
from verifine.graders.python import PythonGrader
from verifine.graders.services import ALONE, Services
from verifine.graders.string_check import StringCheckGrader
from verifine.graders.text_similarity import TextSimilarityGrader
from verifine.graders.weighted import WeightedGrader


def build_grader(config: AnyGrader, services: Services = ALONE) -> Grader:  # noqa: C901 - a case for each type
    """The grader, ready to use; its owner closes it.

    Raises:
        GraderError: it cannot be used, for example because the Python source is broken.
        SandboxUnavailableError: it runs untrusted code, and this machine cannot hold it.
    """
    match config:
        case StringCheckGraderConfig():
            return StringCheckGrader(config)
        case TextSimilarityGraderConfig():
            return TextSimilarityGrader(config, embedder=_embedder(config, services))
        case PythonGraderConfig():
            return PythonGrader(config, services)
        case AnswerGraderConfig():
            return AnswerGrader(config)
        case MathGraderConfig():
            return MathGrader(config, services)
        case CodeGraderConfig():
            return CodeGrader(config, services)
        case FormatGraderConfig():
            return FormatGrader(config)
        case ScoreModelGraderConfig():
            return ScoreModelGrader(config, services)
        case LabelModelGraderConfig():
            return LabelModelGrader(config, services)
        case NumberGraderConfig():
            return NumberGrader(config)
        case ChoiceGraderConfig():
            return ChoiceGrader(config)
        case JsonSchemaGraderConfig():
            return JsonSchemaGrader(config)
        case EndpointGraderConfig():
            return EndpointGrader(config, services)
        case MultiGraderConfig():
            return MultiGrader(config, _build_parts(config.graders, services))
        case WeightedGraderConfig():
            return WeightedGrader(_build_parts(config.graders, services), config.weights)
        case _:
            assert_never(config)


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


def _embedder(config: TextSimilarityGraderConfig, services: Services) -> RemoteEmbedder | None:
    """None: the metric needs none, or there is none to ask."""
    if config.evaluation_metric != "cosine" or services.grading.embedder is None:
        return None
    return RemoteEmbedder(services.grading.embedder, services)
