"""OpenAI's score_model: the judge gives a number."""

from __future__ import annotations

from verifine.config.graders import JudgeSampling, ScoreModelGraderConfig
from verifine.graders.judge.question import Question, UnreadableResultError, instruct, show_result
from verifine.types import Json


def score_question(config: ScoreModelGraderConfig) -> Question:
    """A number in a range."""
    low, high = config.range
    return Question(
        name=config.name,
        model=config.model,
        messages=config.input,
        sampling=config.sampling_params or JudgeSampling(),
        instruction=instruct("number", f"The result is your score: a number from {low:g} (worst) to {high:g} (best)."),
        result_schema={"type": "number"},
        score=lambda result: min(max(_number(result), low), high),
        decides=False,
        identity=config.model_dump_json(),
    )


def _number(result: Json) -> float:
    if isinstance(result, bool) or not isinstance(result, int | float):
        raise UnreadableResultError(f"its result is {show_result(result)}, not a number")
    try:
        return float(result)
    except OverflowError as error:
        raise UnreadableResultError("its result is too large a number") from error
