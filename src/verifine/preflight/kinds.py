"""What the check has to know of each kind of grader."""

from __future__ import annotations

from verifine.config.graders import (
    AnswerGraderConfig,
    AnyGrader,
    ChoiceGraderConfig,
    EndpointGraderConfig,
    FormatGraderConfig,
    JsonSchemaGraderConfig,
    LabelModelGraderConfig,
    MathGraderConfig,
    MultiGraderConfig,
    NumberGraderConfig,
    ScoreModelGraderConfig,
    StringCheckGraderConfig,
    TextSimilarityGraderConfig,
    WeightedGraderConfig,
)
from verifine.config.graders.template import TemplateReference, parse_template


def requests_per_answer(config: AnyGrader | None) -> int:
    """How often grading one answer asks another machine."""
    match config:
        case MultiGraderConfig() | WeightedGraderConfig():
            return sum(requests_per_answer(inner) for inner in config.graders.values())
        case ScoreModelGraderConfig() | LabelModelGraderConfig() | EndpointGraderConfig():
            return 1
        case TextSimilarityGraderConfig(evaluation_metric="cosine"):
            return 1
        case _:
            return 0


def costs_nothing(config: AnyGrader | None) -> bool:
    """Whether grading is so quick that every row of a dataset can be tried."""
    match config:
        case MultiGraderConfig() | WeightedGraderConfig():
            return all(costs_nothing(inner) for inner in config.graders.values())
        case (
            StringCheckGraderConfig()
            | AnswerGraderConfig()
            | NumberGraderConfig()
            | ChoiceGraderConfig()
            | FormatGraderConfig()
        ):
            return True
        case _:
            return False


def must_know_right(config: AnyGrader | None) -> bool:
    """Whether one of the ways of `graders.probes` to write a right answer has to score high.

    It does not where the grader may want it written in a way of its own: with code, a judge or a service, by a pattern,
    with more text around it, or where a formula or a negative weight may turn the scores around.
    """
    match config:
        case WeightedGraderConfig():
            inner, weights = config.graders.values(), config.weights.values()
            return (
                min(weights) >= 0
                and any(must_know_right(each) for each in inner)
                and all(must_know_right(each) or _is_a_template(each) for each in inner)
            )
        case AnswerGraderConfig():
            return config.compare != "countdown"
        case StringCheckGraderConfig():
            return config.operation != "ne" and _is_the_text(config.input)
        case TextSimilarityGraderConfig() | MathGraderConfig() | NumberGraderConfig() | ChoiceGraderConfig():
            return _is_the_text(config.input)
        case _:
            return False


def why_untried(config: AnyGrader | None) -> str:
    """Why a right answer cannot be made from a row; empty: it can, if the row brings one."""
    match config:
        case FormatGraderConfig() | JsonSchemaGraderConfig():
            return "it looks at the form alone"
        case AnswerGraderConfig(compare="countdown"):
            return "a row names the value that is wanted, not an expression that has it"
        case StringCheckGraderConfig(operation="ne"):
            return "it asks that the answer is not the reference"
        case MultiGraderConfig() | WeightedGraderConfig():
            reasons = [why_untried(inner) for inner in config.graders.values()]
            return reasons[0] if all(reasons) else ""
        case _:
            return ""


def _is_a_template(config: AnyGrader) -> bool:
    """Whether it wants tags, in which the right answer is written as well."""
    return isinstance(config, FormatGraderConfig) and config.pattern is None


def _is_the_text(template: str) -> bool:
    """Whether it is the text of an answer and nothing else."""
    parts = [part for part in parse_template(template) if part]
    return parts == [TemplateReference(root="sample", steps=("output_text",))]
