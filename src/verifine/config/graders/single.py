"""The grader types that are not made of other graders: the table that a new type is added to."""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from verifine.config.graders.answer import AnswerGraderConfig
from verifine.config.graders.base import SingleGraderConfig
from verifine.config.graders.choice import ChoiceGraderConfig
from verifine.config.graders.code import CodeGraderConfig
from verifine.config.graders.endpoint import EndpointGraderConfig
from verifine.config.graders.format import FormatGraderConfig
from verifine.config.graders.json_schema import JsonSchemaGraderConfig
from verifine.config.graders.label_model import LabelModelGraderConfig
from verifine.config.graders.math import MathGraderConfig
from verifine.config.graders.number import NumberGraderConfig
from verifine.config.graders.python import PythonGraderConfig
from verifine.config.graders.score_model import ScoreModelGraderConfig
from verifine.config.graders.string_check import StringCheckGraderConfig
from verifine.config.graders.text_similarity import TextSimilarityGraderConfig

AnySingleGrader = (
    StringCheckGraderConfig
    | TextSimilarityGraderConfig
    | PythonGraderConfig
    | ScoreModelGraderConfig
    | LabelModelGraderConfig
    | AnswerGraderConfig
    | MathGraderConfig
    | CodeGraderConfig
    | NumberGraderConfig
    | ChoiceGraderConfig
    | FormatGraderConfig
    | JsonSchemaGraderConfig
    | EndpointGraderConfig
)

SingleGrader = Annotated[AnySingleGrader, Field(discriminator="type")]
"""A grader that is not made of others, told apart by `type`."""


def _type_name(grader: type[SingleGraderConfig]) -> str:
    (name,) = get_args(grader.model_fields["type"].annotation)
    return str(name)


FORMAT_JUDGES = tuple(_type_name(grader) for grader in get_args(AnySingleGrader) if grader.judges_format)
"""The types that judge the format of an answer."""
