"""What "auto" means for a job: pure functions of the request and the number of rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from verifine.service.jobs.request import ReinforcementHyperparameters
from verifine.types import Json
from verifine.wire.api_error import invalid_request

USUAL_BATCH, USUAL_GROUP = 8, 8
USUAL_STEPS = 100
"""How many steps "auto" aims at."""
USUAL_EVALUATIONS = 10
MOST_EPOCHS = 50

_FIELD = "method.reinforcement.hyperparameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """The hyperparameters, decided."""

    batch_size: int
    """Prompts a step."""
    group_size: int
    """Answers to a prompt."""
    n_epochs: int
    steps: int
    eval_interval: int
    eval_samples: int
    learning_rate_multiplier: float
    compute_multiplier: float

    def write_back(self, given: ReinforcementHyperparameters) -> dict[str, Json]:
        """The hyperparameters as the job shows them from now on."""
        own: dict[str, Json] = {}
        if given.algorithm is not None:
            own["algorithm"] = given.algorithm
        if given.group_size is not None:
            own["group_size"] = given.group_size
        return {
            "batch_size": self.batch_size,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "n_epochs": self.n_epochs,
            "compute_multiplier": self.compute_multiplier,
            "eval_interval": self.eval_interval,
            "eval_samples": self.eval_samples,
            "reasoning_effort": given.reasoning_effort,
            **own,
        }


def plan_job(given: ReinforcementHyperparameters, rows: int, steps: int | None = None) -> JobPlan:
    """Decides what is "auto" for so many rows to train on, and if the request says so, for so many `steps`.

    A batch is 8 prompts, or all rows if they are fewer; epochs are as many as 100 steps take, up to 50; there are 10
    evaluations; a prompt gets 8 answers, times compute_multiplier.

    Raises:
        ApiError: the values do not go together.
    """
    batch_size = min(USUAL_BATCH, rows) if given.batch_size == "auto" else given.batch_size
    if batch_size > rows:
        message = f'"batch_size" is {batch_size}, but there are {rows} rows to train on; lower it, or add rows'
        raise invalid_request(message, param=f"{_FIELD}.batch_size")
    group_size, multiplier = _plan_group(given)
    steps_per_epoch = math.ceil(rows / batch_size)
    if given.n_epochs == "auto":
        epochs = round(USUAL_STEPS / steps_per_epoch) if steps is None else math.ceil(steps / steps_per_epoch)
        n_epochs = min(MOST_EPOCHS, max(1, epochs))
    else:
        n_epochs = given.n_epochs
    steps = n_epochs * steps_per_epoch if steps is None else steps
    interval = math.ceil(steps / USUAL_EVALUATIONS) if given.eval_interval == "auto" else given.eval_interval
    return JobPlan(
        batch_size=batch_size,
        group_size=group_size,
        n_epochs=n_epochs,
        steps=steps,
        eval_interval=interval,
        eval_samples=1 if given.eval_samples == "auto" else given.eval_samples,
        learning_rate_multiplier=1.0 if given.learning_rate_multiplier == "auto" else given.learning_rate_multiplier,
        compute_multiplier=multiplier,
    )


def _plan_group(given: ReinforcementHyperparameters) -> tuple[int, float]:
    """The size of a group, and the multiplier that it is."""
    if given.group_size is None:
        multiplier = 1.0 if given.compute_multiplier == "auto" else given.compute_multiplier
        return max(2, round(USUAL_GROUP * multiplier)), multiplier
    if given.compute_multiplier != "auto":
        message = 'give either "group_size" or "compute_multiplier": both say how many answers a prompt gets'
        raise invalid_request(message, param=f"{_FIELD}.compute_multiplier")
    return given.group_size, given.group_size / USUAL_GROUP
