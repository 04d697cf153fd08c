"""What the check has to know of each kind of grader."""

from __future__ import annotations

from verifine.config.graders import (
    AnswerGrader,
    AnyGrader,
    ChoiceGrader,
    EndpointGrader,
    FormatGrader,
    JsonSchemaGrader,
    LabelModelGrader,
    MathGrader,
    MultiGrader,
    NumberGrader,
    ScoreModelGrader,
    StringCheckGrader,
    TextSimilarityGrader,
    WeightedGrader,
)
from verifine.config.graders.template import Reference, parse_template


def requests_per_answer(config: AnyGrader | None) -> int:
    """How often grading one answer asks another machine."""
    match config:
        case MultiGrader() | WeightedGrader():
            return sum(requests_per_answer(inner) for inner in config.graders.values())
        case ScoreModelGrader() | LabelModelGrader() | EndpointGrader():
            return 1
        case TextSimilarityGrader(evaluation_metric="cosine"):
            return 1
        case _:
            return 0


def costs_nothing(config: AnyGrader | None) -> bool:
    """Whether grading is so quick that every row of a dataset can be tried."""
    match config:
        case MultiGrader() | WeightedGrader():
            return all(costs_nothing(inner) for inner in config.graders.values())
        case StringCheckGrader() | AnswerGrader() | NumberGrader() | ChoiceGrader() | FormatGrader():
            return True
        case _:
            return False


def must_know_right(config: AnyGrader | None) -> bool:
    """Whether one of the ways of `graders.probes` to write a right answer has to score high.

    It does not where the grader may want it written in a way of its own: with code, a judge, or a service.
    """
    match config:
        case MultiGrader() | WeightedGrader():
            inner = config.graders.values()
            return any(must_know_right(each) for each in inner) and all(
                must_know_right(each) or isinstance(each, FormatGrader) for each in inner
            )
        case AnswerGrader():
            return config.compare != "countdown"
        case StringCheckGrader():
            return config.operation != "ne" and _reads_the_text(config.input)
        case TextSimilarityGrader() | MathGrader() | NumberGrader() | ChoiceGrader():
            return _reads_the_text(config.input)
        case _:
            return False


def why_untried(config: AnyGrader | None) -> str:
    """Why a right answer cannot be made from a row; empty: it can, if the row brings one."""
    match config:
        case FormatGrader() | JsonSchemaGrader():
            return "it looks at the form alone"
        case AnswerGrader(compare="countdown"):
            return "a row names the value that is wanted, not an expression that has it"
        case StringCheckGrader(operation="ne"):
            return "it asks that the answer is not the reference"
        case MultiGrader() | WeightedGrader():
            reasons = [why_untried(inner) for inner in config.graders.values()]
            return reasons[0] if all(reasons) else ""
        case _:
            return ""


def _reads_the_text(template: str) -> bool:
    """Whether all that it takes from an answer is the text."""
    parts = [part for part in parse_template(template) if isinstance(part, Reference) and part.root == "sample"]
    return bool(parts) and all(part.steps == ("output_text",) for part in parts)
