"""How good a policy is on held-out prompts."""

from __future__ import annotations

from collections.abc import Sequence

from verifine.config.graders.extensions import REFERENCE_FIELD
from verifine.runs.evaluation import EvaluatedSample, Evaluation
from verifine.train.collect import grade_groups
from verifine.train.trainer import Trainer
from verifine.types import Prompt, Sampling


def evaluate(trainer: Trainer, prompts: Sequence[Prompt], name: str) -> Evaluation:
    """One greedy answer to each prompt, graded."""
    greedy = Sampling(
        group_size=1,
        max_new_tokens=trainer.sampling.max_new_tokens,
        temperature=0.0,
        stop=trainer.sampling.stop,
        seed=trainer.sampling.seed,
    )
    groups = grade_groups(trainer.grader, trainer.engine.generate(prompts, greedy))
    return Evaluation(
        name=name,
        samples=tuple(
            EvaluatedSample(
                prompt_id=group.prompt.id,
                prompt=group.prompt.question,
                text=group.rollouts[0].text,
                score=group.grades[0].score,
                format_ok=group.grades[0].format_ok,
                answer_ok=group.grades[0].answer_ok,
                gold=_gold(group.prompt),
            )
            for group in groups
        ),
    )


def _gold(prompt: Prompt) -> str | None:
    answer = prompt.item.get(REFERENCE_FIELD)
    return None if answer is None else str(answer)
