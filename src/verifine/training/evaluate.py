"""How well a policy answers held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from verifine.config.graders import CALLABLE_TRAITS, GraderTraits
from verifine.graders import Grader
from verifine.graders.probes import find_references
from verifine.rollout.engine import RolloutEngine
from verifine.runs.evaluations import EvaluatedSample, Evaluation
from verifine.training.collect import grade_groups
from verifine.types import Grade, Group, Prompt, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    """Held-out prompts, and how they are sampled and graded: the same way at every evaluation."""

    prompts: Sequence[Prompt]
    engine: RolloutEngine
    grader: Grader
    """The one that training uses, too."""
    second_grader: Grader | None
    """One that training never sees; None: there is none."""
    sampling: Sampling
    pass_score: float | None
    """The lowest score of an answer that passes, where the grader does not tell right from wrong; None: none."""
    traits: GraderTraits = CALLABLE_TRAITS
    """Those of the grader that decides: they say where a row has its right answer."""


def eval_sampling(sampling: Sampling, samples: int, temperature: float | None) -> Sampling:
    """How held-out prompts are answered in a run that samples like this: once and greedily, or several times.

    Step 0 is no step of training, so every evaluation draws the same random numbers, which no step draws: two
    evaluations differ by the weights alone. Answers come from the policy itself, never from a quantized copy.
    """
    drawn = sampling.temperature if temperature is None else temperature
    return replace(sampling, group_size=samples, temperature=drawn if samples > 1 else 0.0, step=0, is_exact=True)


def evaluate_policy(eval_set: EvalSet, name: str) -> Evaluation:
    """Samples and grades answers to every prompt; both graders grade the same answers."""
    groups = grade_groups(eval_set.grader, eval_set.engine.generate(eval_set.prompts, eval_set.sampling))
    seconds = None if eval_set.second_grader is None else grade_groups(eval_set.second_grader, groups)
    return Evaluation(
        name=name,
        samples=tuple(
            sample
            for group, second_group in zip(groups, seconds or repeat(None), strict=False)
            for sample in _samples(eval_set, group, second_group)
        ),
        temperature=eval_set.sampling.temperature,
    )


def _samples(eval_set: EvalSet, group: Group, second_group: Group | None) -> list[EvaluatedSample]:
    gold = next(iter(find_references(eval_set.traits, group.prompt.item)), None)
    seconds: Sequence[Grade | None] = [None] * len(group.grades) if second_group is None else second_group.grades
    return [
        EvaluatedSample(
            prompt_id=group.prompt.id,
            prompt=group.prompt.question,
            text=rollout.text,
            score=grade.score,
            format_ok=grade.format_ok,
            answer_ok=grade.answer_ok,
            gold=gold,
            sample=place,
            second_score=None if second is None else second.score,
            second_answer_ok=None if second is None else second.answer_ok,
            opened=group.prompt.opened,
            answer_start=rollout.answer_start,
            reasoning_tokens=rollout.reasoning_tokens,
            passed=(second or grade).passes(eval_set.pass_score),
            parts=grade.parts,
        )
        for place, (rollout, grade, second) in enumerate(zip(group.rollouts, group.grades, seconds, strict=True))
    ]
