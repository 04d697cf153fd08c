"""`/api/jobs/{id}/…`: what the run of a job has written, for pages and scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel

from verifine.errors import ConfigError
from verifine.insights.diagnosis.diagnose import diagnose
from verifine.insights.findings import Severity, finding_numbers
from verifine.runs.evaluations import read_evaluations, step_of_name
from verifine.runs.jsonl import finite
from verifine.runs.metrics import read_metrics
from verifine.runs.record import read_run
from verifine.runs.status import Status
from verifine.service.http.keys import CurrentCaller
from verifine.service.http.stream import EvaluationView
from verifine.service.run_views.answers import (
    GroupPage,
    GroupView,
    SavedSteps,
    list_groups,
    list_saved_steps,
    view_group,
)
from verifine.service.run_views.metric_columns import MetricColumns, reduce_metrics
from verifine.service.run_views.run_index import IndexedRun
from verifine.service.run_views.sources import RunSources
from verifine.service.whole_text import WholeText

MOST_STEPS = 10**9
"""Any number of steps, groups or rows is smaller."""

Count = Annotated[int, Query(ge=0, le=MOST_STEPS)]
Place = Annotated[int, Path(ge=0, le=MOST_STEPS)]


class FindingView(BaseModel):
    """Something that stands out in a run, the evidence for it, and what to do."""

    name: str
    severity: Severity
    what: str
    evidence: str
    numbers: dict[str, float | None]
    steps: tuple[int, int] | None
    """The first and the last step it is about; null: it is not about steps."""
    remedies: list[str]


class FindingList(BaseModel):
    """The findings about a run, the most severe first."""

    findings: list[FindingView]


class EvaluationList(BaseModel):
    """The evaluations of a run, in the order in which they were made."""

    evaluations: list[EvaluationView]


class RunSummary(BaseModel):
    """A run of the command line; its id stands for a job's in the addresses under `/api/jobs`."""

    id: str
    name: WholeText
    """Its folder, from the folder of all runs."""
    status: Status | None
    """null: its files cannot be read."""
    reason: str | None
    model: str | None
    """null: training has not begun."""
    began_at: int | None
    step: int
    """Its last step; 0: it has taken none."""
    reward: float | None
    """Of that step."""

    @classmethod
    def of(cls, run: IndexedRun) -> Self:
        return cls(
            id=run.id,
            name=run.name,
            status=None if run.status is None else run.status.status,
            reason=None if run.status is None else run.status.reason,
            model=run.model,
            began_at=None if run.began is None else int(run.began.timestamp()),
            step=0 if run.last is None else run.last.step,
            reward=None if run.last is None else run.last.metrics.get("reward"),
        )


class RunList(BaseModel):
    """The runs of the command line, those that began last first."""

    runs: list[RunSummary]


def refuse_unreadable() -> Iterator[None]:
    """Around a route: a file of a run that the disk does not give is told as one that is broken."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"a file of the run cannot be read ({error.strerror})") from error


class RunRoutes:
    """The routes over the runs of jobs."""

    def __init__(self, sources: RunSources, now: Callable[[], datetime]) -> None:
        self._sources, self._now = sources, now

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api", tags=["Runs"], dependencies=[Depends(refuse_unreadable)])
        router.add_api_route("/runs", self.runs, methods=["GET"])
        for path, route in (
            ("metrics", self.metrics),
            ("evaluations", self.evaluations),
            ("findings", self.findings),
            ("rollouts", self.saved_steps),
            ("rollouts/{step}", self.groups),
            ("rollouts/{step}/{group}", self.group),
        ):
            router.add_api_route(f"/jobs/{{job_id}}/{path}", route, methods=["GET"])
        return router

    def runs(self, caller: CurrentCaller) -> RunList:
        """The runs of the command line in the folder that `verifine serve --runs` names."""
        return RunList(runs=[RunSummary.of(run) for run in self._sources.list_runs(caller)])

    def metrics(
        self,
        job_id: str,
        caller: CurrentCaller,
        name: Annotated[list[str] | None, Query(max_length=200)] = None,
        first: Count = 0,
        last: Count = MOST_STEPS,
        points: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> MetricColumns:
        """The metrics called `name` (repeatable; all if there is none) of the steps from `first` to `last`.

        Of more steps than `points`, a point is the mean of neighbours, with their smallest and largest value.
        """
        run = self._sources.find(caller, job_id).directory
        reports = [report for report in read_metrics(run.metrics) if first <= report.step <= last]
        return reduce_metrics(reports, frozenset(name or ()), points)

    def evaluations(self, job_id: str, caller: CurrentCaller) -> EvaluationList:
        """The evaluations with their intervals."""
        run = self._sources.find(caller, job_id).directory
        made = sorted(read_evaluations(run.evaluations).values(), key=lambda each: step_of_name(each.name))
        return EvaluationList(evaluations=[EvaluationView.of(each) for each in made])

    def findings(self, job_id: str, caller: CurrentCaller) -> FindingList:
        """What `verifine doctor` says of the run; nothing before it has begun."""
        run = self._sources.find(caller, job_id).directory
        if not run.config.is_file():
            return FindingList(findings=[])
        found = diagnose(read_run(run), self._now())
        return FindingList(findings=[FindingView.model_validate(finite(finding_numbers(each))) for each in found])

    def saved_steps(self, job_id: str, caller: CurrentCaller) -> SavedSteps:
        """The steps with saved answers."""
        return list_saved_steps(self._sources.find(caller, job_id).directory)

    def groups(
        self,
        job_id: str,
        step: Place,
        caller: CurrentCaller,
        offset: Count = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> GroupPage:
        """The prompts of a step, each with the scores of its answers in numbers."""
        return list_groups(self._sources.find(caller, job_id).directory, step, offset, limit)

    def group(self, job_id: str, step: Place, group: Place, caller: CurrentCaller, tokens: bool = False) -> GroupView:
        """All answers to one prompt, the best first; with `tokens`, columns with numbers of every token."""
        return view_group(self._sources.find(caller, job_id).directory, step, group, with_tokens=tokens)
