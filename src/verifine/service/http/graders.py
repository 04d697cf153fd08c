"""`/v1/fine_tuning/alpha/graders`, in OpenAI's form."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, JsonValue

from verifine.config.graders import GraderConfig
from verifine.graders.result import GraderResult
from verifine.service.http.json_body import json_body
from verifine.service.http.keys import OwnerId
from verifine.service.jobs.mapping import refuse_distant_graders
from verifine.service.limits import ServiceLimits
from verifine.service.trials.question import GraderTrial, TrialOutcome
from verifine.service.turns import Turns
from verifine.wire.api_error import ApiError, invalid_request
from verifine.wire.api_request import ApiRequest
from verifine.wire.body import read_body
from verifine.wire.parsing import read_fields, validate_fields

AT_ONCE = 2
"""Trials in progress; each is a process."""


class ValidateGrader(ApiRequest):
    """`POST .../validate`."""

    grader: GraderConfig


class RunGrader(ValidateGrader):
    """`POST .../run`."""

    model_sample: str
    item: dict[str, JsonValue] = Field(default_factory=dict)


class ValidGrader(BaseModel):
    """A grader that can be used, with its defaults."""

    grader: dict[str, JsonValue]


class GraderRoutes:
    """The routes over processes that grade."""

    def __init__(self, carry_out: Callable[[GraderTrial], TrialOutcome], turns: Turns, limits: ServiceLimits) -> None:
        self._carry_out, self._turns, self._limits = carry_out, turns, limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/fine_tuning/alpha/graders", tags=["Graders"])
        router.add_api_route("/run", self.run, methods=["POST"], openapi_extra=json_body(RunGrader))
        router.add_api_route("/validate", self.validate, methods=["POST"], openapi_extra=json_body(ValidateGrader))
        return router

    async def run(self, request: Request, _: OwnerId) -> GraderResult:
        """Grades an answer. What goes wrong in grading is a result too: its reward is 0, and its errors say why."""
        asked = validate_fields(await self._fields(request), RunGrader)
        trial = GraderTrial(grader=asked.grader, sample=asked.model_sample, item=asked.item)
        result = (await self._try(trial)).result
        assert result is not None, "there was a sample"
        return result

    async def validate(self, request: Request, _: OwnerId) -> ValidGrader:
        """Builds a grader, and gives it back with its defaults."""
        asked = validate_fields(await self._fields(request), ValidateGrader)
        await self._try(GraderTrial(grader=asked.grader, sample=None, item={}))
        return ValidGrader(grader=asked.grader.model_dump(mode="json"))

    async def _fields(self, request: Request) -> dict[str, Any]:
        return read_fields(await read_body(request, self._limits))

    async def _try(self, trial: GraderTrial) -> TrialOutcome:
        refuse_distant_graders(trial.grader, "grader")
        outcome = await self._turns.take(partial(self._carry_out, trial))
        if outcome.problem is not None:
            raise _unusable(outcome.problem)
        return outcome


def _unusable(problem: str) -> ApiError:
    return invalid_request(problem, param="grader", code="invalid_grader")
