"""What a job may use before it pauses by itself: pure functions of the job and of what its owner allows."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from pydantic import Field, JsonValue

from verifine.config import RunConfig, dump_config
from verifine.runs.status import MAX_MINUTES, MAX_STEPS
from verifine.service.jobs.job import Job, ResolvedJob
from verifine.wire.api_error import ApiError, invalid_request
from verifine.wire.api_request import ApiRequest
from verifine.wire.parsing import read_fields, validate_fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """None: without a limit."""

    max_steps: int | None = None
    max_minutes: float | None = None


class BudgetSettings(ApiRequest):
    """`verifine.run` of a request to resume."""

    max_steps: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0)


class ResumeSettings(ApiRequest):
    """`verifine` of a request to resume."""

    run: BudgetSettings = BudgetSettings()


class ResumeJob(ApiRequest):
    """`POST .../resume`: OpenAI's clients send nothing."""

    verifine: ResumeSettings = ResumeSettings()


def read_budget(body: bytes) -> Budget:
    """What a request to resume allows; None: as before.

    Raises:
        ApiError: a field is wrong.
    """
    if not body.strip():
        return Budget()
    given = validate_fields(read_fields(body), ResumeJob).verifine.run
    return Budget(max_steps=given.max_steps, max_minutes=given.max_minutes)


def budget_of(config: RunConfig) -> Budget:
    return Budget(max_steps=config.run.max_steps, max_minutes=config.run.max_minutes)


def allow_more(job: Job, paused_by: str | None, given: Budget, step: int = 0) -> ResolvedJob:
    """The job with the budget that it is resumed with; `paused_by` is why it was paused, after so many steps.

    Raises:
        ApiError: it has used its budget, and gets no more.
    """
    config = job.run_config()
    if given.max_steps is not None and given.max_steps <= step:
        field = "verifine.run.max_steps"
        message = f'"{field}" is {given.max_steps}, and the job is at step {step}; give more'
        raise invalid_request(message, param=field, code="budget_used")
    _refuse_spent(budget_of(config), paused_by, given)
    more = {name: value for name, value in asdict(given).items() if value is not None}
    run = config.run.model_copy(update=more)
    settings = _object(job.request.get("verifine", {}))
    shown = {**settings, "run": {**_object(settings.get("run", {})), **more}}
    request = {**job.request, "verifine": shown} if more else job.request
    return ResolvedJob(request=request, config=dump_config(config.model_copy(update={"run": run})))


def _refuse_spent(had: Budget, paused_by: str | None, given: Budget) -> None:
    for name, used, more in (
        (MAX_STEPS, had.max_steps, given.max_steps),
        (MAX_MINUTES, had.max_minutes, given.max_minutes),
    ):
        if paused_by == name and used is not None and (more is None or more <= used):
            raise _spent(name, used)


def _spent(name: str, used: float) -> ApiError:
    field = f"verifine.run.{name}"
    message = f'the job has used its {name} of {used:g}; resume it with a larger "{field}"'
    return invalid_request(message, param=field, code="budget_used")


def _object(values: JsonValue) -> dict[str, JsonValue]:
    return values if isinstance(values, dict) else {}
