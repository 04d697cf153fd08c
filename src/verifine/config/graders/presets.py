"""Graders and whole reward types by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verifine.config.graders.answer import AnswerGraderConfig
from verifine.config.graders.code import CodeGraderConfig
from verifine.config.graders.math import MathGraderConfig
from verifine.config.graders.union import AnyGrader


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardType:
    """A grader and what the model is told so that its answers can be graded."""

    grader: AnyGrader
    system_prompt: str
    stop: tuple[str, ...] = ()


REWARD_TYPES: Mapping[str, RewardType] = {
    "think_answer_tags": RewardType(
        grader=MathGraderConfig(type="math", name="think_answer_tags", answer_in="think_answer", text_match_score=0.5),
        system_prompt="Think about the question step by step inside <think> and </think>. Then write the final answer, "
        "and nothing else, inside <answer> and </answer>. For example: <think>Half of 246 is 123.</think> "
        "<answer>123</answer>",
        stop=("</answer>",),
    ),
    "boxed": RewardType(
        grader=MathGraderConfig(type="math", name="boxed", answer_in="boxed", text_match_score=0.5),
        system_prompt="Reason step by step, and put the final answer inside \\boxed{}.",
    ),
    "code": RewardType(
        grader=CodeGraderConfig(type="code", name="code"),
        system_prompt="You are a helpful assistant. Write the solution as one Python program between ```python and "
        "```.",
    ),
}
"""For `--reward-type NAME`. An answer in the wrong format earns nothing; set `grader.format_weight` for more."""

GRADER_PRESETS: Mapping[str, AnyGrader] = {
    "answer_exact": AnswerGraderConfig(type="answer", name="answer_exact", compare="exact"),
    "answer_number": AnswerGraderConfig(type="answer", name="answer_number", compare="number"),
    **{name: reward_type.grader for name, reward_type in REWARD_TYPES.items()},
}
"""Graders by name, for `--grader NAME`; they read the right answer from the field `gt_answer` or `test_cases`."""
