"""From a grader's configuration to the grader."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import assert_never

from verifine.config.graders import (
    AnswerGrader,
    AnyGrader,
    ChoiceGrader,
    CodeGrader,
    EndpointGrader,
    FormatGrader,
    JsonSchemaGrader,
    LabelModelGrader,
    MathGrader,
    MultiGrader,
    NumberGrader,
    PythonGrader,
    ScoreModelGrader,
    SingleGrader,
    StringCheckGrader,
    TextSimilarityGrader,
    WeightedGrader,
)
from verifine.errors import GraderError
from verifine.graders.answer import AnswerCheck
from verifine.graders.choice import ChoiceCheck
from verifine.graders.embeddings import RemoteEmbedder
from verifine.graders.endpoint import EndpointCheck
from verifine.graders.format import FormatCheck
from verifine.graders.grader import Grader
from verifine.graders.json_schema import JsonSchemaCheck
from verifine.graders.judge import LabelModel, ScoreModel
from verifine.graders.mathematics import MathCheck
from verifine.graders.multi import MultiFormula
from verifine.graders.number import NumberCheck
from verifine.graders.program import CodeCheck
from verifine.graders.python_source import PythonSource
from verifine.graders.services import ALONE, Services
from verifine.graders.string_check import StringCheck
from verifine.graders.text_similarity import TextSimilarity
from verifine.graders.weighted import WeightedSum


def build_grader(config: AnyGrader, services: Services = ALONE) -> Grader:  # noqa: C901 - a case for each type
    """The grader, ready to use; its owner closes it.

    Raises:
        GraderError: it cannot be used, for example because the Python source is broken.
        SandboxUnavailableError: it runs foreign code, and this machine cannot hold it.
    """
    match config:
        case StringCheckGrader():
            return StringCheck(config)
        case TextSimilarityGrader():
            return TextSimilarity(config, embedder=_embedder(config, services))
        case PythonGrader():
            return PythonSource(config, services)
        case AnswerGrader():
            return AnswerCheck(config)
        case MathGrader():
            return MathCheck(config, services)
        case CodeGrader():
            return CodeCheck(config, services)
        case FormatGrader():
            return FormatCheck(config)
        case ScoreModelGrader():
            return ScoreModel(config, services)
        case LabelModelGrader():
            return LabelModel(config, services)
        case NumberGrader():
            return NumberCheck(config)
        case ChoiceGrader():
            return ChoiceCheck(config)
        case JsonSchemaGrader():
            return JsonSchemaCheck(config)
        case EndpointGrader():
            return EndpointCheck(config, services)
        case MultiGrader():
            return MultiFormula(config, _build_parts(config.graders, services))
        case WeightedGrader():
            return WeightedSum(_build_parts(config.graders, services), config.weights)
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


def _embedder(config: TextSimilarityGrader, services: Services) -> RemoteEmbedder | None:
    """None: the metric needs none, or there is none to ask."""
    if config.evaluation_metric != "cosine" or services.grading.embedder is None:
        return None
    return RemoteEmbedder(services.grading.embedder, services)
