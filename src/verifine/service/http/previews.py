"""`/api/resolve`, `/api/check` and `/api/trial`: a request for a job, before it is made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Self

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, JsonValue

from verifine.insights.findings import CheckVerdict
from verifine.launch.inspection.question import ShownRow, TokenCounts, Trial
from verifine.runs.jsonl import finite
from verifine.service.http.json_body import json_body
from verifine.service.http.keys import OwnerId
from verifine.service.http.runs import FindingView
from verifine.service.inspection.inspector import MOST_ROWS, MOST_SAMPLES
from verifine.service.inspection.preview import RunPreview, RunPreviews
from verifine.service.inspection.resolved import as_command, as_curl, as_python, as_yaml
from verifine.service.jobs.request import CreateJob, read_job
from verifine.service.limits import ServiceLimits
from verifine.service.turns import Turns
from verifine.service.whole_text import make_whole
from verifine.wire.body import read_body


class MemoryView(BaseModel):
    """The peak memory of a run, in bytes."""

    available: int
    resident: dict[str, int]
    """What stays in memory, by name."""
    usual: int
    most: int
    """With answers as long as allowed."""


class ResolvedView(BaseModel):
    """What a request comes to on this machine."""

    config: dict[str, JsonValue]
    """Every setting, decided."""
    hyperparameters: dict[str, JsonValue]
    """As the job would show them."""
    memory: MemoryView
    rows: int
    """To train on."""
    held_out: int
    steps: int | None
    """null: the run goes by time."""
    steps_per_epoch: float
    prompts: TokenCounts
    refused: int
    """Rows that training would refuse."""
    problems: list[str]
    """Why, of the first of them."""
    shown: list[ShownRow]
    """Rows as the model reads them."""
    yaml: str
    """For `verifine train FILE` beside the files, as are the command and the program."""
    command: str
    python: str
    curl: str
    """The request that makes the job."""

    @classmethod
    def of(cls, preview: RunPreview, request: CreateJob, base_url: str) -> Self:
        resolved, look = preview.resolved, preview.look
        decided = resolved.config.model_dump(mode="json")
        shown = preview.shown.model_dump(mode="json")
        for section, name in (("data", "train"), ("data", "eval"), ("model", "name"), ("model", "start_from")):
            decided[section][name] = shown[section][name]
        decided["run"]["directory"] = None
        body: Any = request.model_dump(mode="json", by_alias=True, exclude_unset=True)
        given = request.method.reinforcement.hyperparameters
        values: dict[str, Any] = {
            "config": finite(decided),
            "hyperparameters": preview.prepared.plan.write_back(given),
            "memory": MemoryView(
                available=resolved.memory.available.size,
                resident=dict(resolved.memory.resident),
                usual=resolved.memory.usual,
                most=resolved.memory.most,
            ),
            "rows": look.train,
            "held_out": look.held_out,
            "steps": resolved.config.run.steps,
            "steps_per_epoch": resolved.steps_per_epoch,
            "prompts": look.prompts,
            "refused": look.refused,
            "problems": list(look.problems),
            "shown": list(look.rows),
            "yaml": as_yaml(preview.shown),
            "command": as_command(preview.shown),
            "python": as_python(preview.shown),
            "curl": as_curl(body, base_url),
        }
        return cls(**values)


class TriedAnswer(BaseModel):
    """An answer of the model before it has learned anything."""

    row: int
    prompt: str
    text: str
    score: float | None
    """null: the grader could not score it."""
    format_ok: bool | None
    answer_ok: bool | None


class TrialView(BaseModel):
    """What the model answers, and how that is graded."""

    answers: list[TriedAnswer]
    seconds: float
    """For sampling and grading, without loading."""

    @classmethod
    def of(cls, trial: Trial, rows: tuple[int, ...]) -> Self:
        answers = [
            TriedAnswer(
                row=row,
                prompt=make_whole(each.prompt),
                text=make_whole(each.text),
                score=each.score,
                format_ok=each.format_ok,
                answer_ok=each.answer_ok,
            )
            for row, problem in zip(rows, trial.problems, strict=True)
            for each in problem.samples
        ]
        return cls(answers=answers, seconds=trial.seconds)


class SpanView(BaseModel):
    """The least and the most that something is expected to take, in seconds."""

    low: float
    high: float


class TimeView(BaseModel):
    """How long a run will take, by what was measured."""

    step: SpanView
    evaluation: SpanView
    """One evaluation of all held-out rows."""
    total: SpanView | None
    """Of all steps and evaluations; null: the run goes by time."""


class CheckView(BaseModel):
    """Is training worth starting, does it fit, and how long will it take?"""

    verdict: CheckVerdict
    findings: list[FindingView]
    time: TimeView | None
    """null: the check ended before it asked the model."""
    numbers: dict[str, JsonValue]
    """The rest of what `verifine check --json` prints: data, prompts, grading, sampling, memory."""

    @classmethod
    def of(cls, numbers: Mapping[str, JsonValue]) -> Self:
        rest = dict(numbers)
        verdict, findings = rest.pop("verdict"), rest.pop("findings")
        return cls.model_validate({"verdict": verdict, "findings": findings, "time": rest.pop("pace"), "numbers": rest})


Row = Annotated[int, Field(ge=0, le=10**9)]


class PreviewRoutes:
    """The routes over previews."""

    def __init__(self, previews: RunPreviews, turns: Turns, limits: ServiceLimits) -> None:
        self._previews, self._turns, self._limits = previews, turns, limits

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api", tags=["Previews"])
        router.add_api_route("/resolve", self.resolve, methods=["POST"], openapi_extra=json_body(CreateJob))
        router.add_api_route("/check", self.check, methods=["POST"], openapi_extra=json_body(CreateJob))
        router.add_api_route("/trial", self.trial, methods=["POST"], openapi_extra=json_body(CreateJob))
        return router

    async def resolve(
        self,
        request: Request,
        owner_id: OwnerId,
        first: Annotated[int, Query(ge=0, le=10**9)] = 0,
        count: Annotated[int, Query(ge=0, le=MOST_ROWS)] = 0,
    ) -> ResolvedView:
        """What a request for a job comes to: settings, memory, steps, and the same run as YAML, command and program.

        `count` rows from `first` on are shown as the model reads them, with their tokens.
        """
        asked = read_job(await read_body(request, self._limits))
        base_url = f"{request.base_url}v1"
        preview = await self._turns.take(partial(self._previews.preview, owner_id, asked, first, count))
        return ResolvedView.of(preview, asked, base_url)

    async def check(
        self,
        request: Request,
        owner_id: OwnerId,
        rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 16,
    ) -> CheckView:
        """What `verifine check` says: the model is asked `rows` prompts, and nothing is trained."""
        asked = read_job(await read_body(request, self._limits))
        return CheckView.of(await self._turns.take(partial(self._previews.check, owner_id, asked, rows)))

    async def trial(
        self,
        request: Request,
        owner_id: OwnerId,
        row: Annotated[list[Row], Query(min_length=1, max_length=MOST_ROWS)],
        samples: Annotated[int, Query(ge=1, le=MOST_SAMPLES)] = 4,
    ) -> TrialView:
        """Answers of the model to some rows, graded as in training: what there is to learn from."""
        asked = read_job(await read_body(request, self._limits))
        rows = tuple(dict.fromkeys(row))
        trial = await self._turns.take(partial(self._previews.try_out, owner_id, asked, rows, samples))
        return TrialView.of(trial, rows)
