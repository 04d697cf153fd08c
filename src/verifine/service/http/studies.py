"""Datasets and graders looked at before a job is made, and saved answers graded again; each by a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field

from verifine.config.graders import GraderConfig
from verifine.service.access.caller import Caller
from verifine.service.files import FileStore
from verifine.service.files.borrowing import borrow_file
from verifine.service.http.json_body import json_body
from verifine.service.http.keys import CurrentCaller, OwnerId
from verifine.service.jobs.mapping import refuse_distant_graders
from verifine.service.limits import ServiceLimits
from verifine.service.owner_words import OwnerWords
from verifine.service.run_views.sources import RunSources
from verifine.service.trials.study import (
    DatasetQuestion,
    DatasetStudy,
    GraderStudy,
    ProbingQuestion,
    RegradingQuestion,
    StudyQuestion,
    StudyReply,
)
from verifine.service.turns import Turns
from verifine.wire.api_error import invalid_request
from verifine.wire.api_request import ApiRequest
from verifine.wire.body import read_body
from verifine.wire.parsing import read_fields, validate_fields

Columns = Annotated[dict[str, str], Field(max_length=32)]


class StudyDataset(ApiRequest):
    """How a file is read, and which rows are shown."""

    columns: Columns = Field(default_factory=dict)
    system_prompt: str | None = None
    first: Annotated[int, Field(ge=0, le=10**9)] = 0
    count: Annotated[int, Field(ge=0, le=100)] = 10


class ProbeGrader(ApiRequest):
    """A grader, and the rows that it is tried on."""

    grader: GraderConfig
    file_id: Annotated[str, Field(min_length=1, max_length=200)]
    columns: Columns = Field(default_factory=dict)
    answer_field: str | None = None
    """The field of rows that holds their own answers; null: `model_sample` or `output_text`, else right answers."""
    limit: Annotated[int, Field(ge=1, le=200)] = 20


class RegradeRollouts(ApiRequest):
    """Another grader for saved answers."""

    grader: GraderConfig | None = None
    """null: the run's own."""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 256
    """At most so many answers, evenly spread over the run."""


STUDY_REQUESTS = (StudyDataset, ProbeGrader, RegradeRollouts)


class StudyRoutes:
    """The routes over processes that study."""

    def __init__(
        self,
        files: FileStore,
        sources: RunSources,
        ask: Callable[[StudyQuestion], StudyReply],
        turns: Turns,
        folder: Path,
        limits: ServiceLimits,
    ) -> None:
        """`ask`: as `study_in_child`; `folder` has what is being read."""
        self._files, self._sources, self._ask, self._folder, self._limits = files, sources, ask, folder, limits
        self._turns = turns

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/api", tags=["Studies"])
        for path, route, body in (
            ("/files/{file_id}/study", self.study_dataset, StudyDataset),
            ("/graders/probe", self.probe, ProbeGrader),
            ("/jobs/{job_id}/regrade", self.regrade, RegradeRollouts),
        ):
            router.add_api_route(path, route, methods=["POST"], openapi_extra=json_body(body))
        return router

    async def study_dataset(self, request: Request, file_id: str, owner_id: OwnerId) -> DatasetStudy:
        """Reads every row of a file as training would: some rows, what is in the fields, and repeats.

        A file that cannot be trained on is 400, and the message names lines and fields.
        """
        asked = validate_fields(await self._fields(request), StudyDataset)
        return await self._turns.take(partial(self._study_dataset, owner_id, file_id, asked))

    async def probe(self, request: Request, owner_id: OwnerId) -> GraderStudy:
        """Tries a grader on rows: on their own answers or the right ones, on empty text, on nonsense."""
        asked = validate_fields(await self._fields(request), ProbeGrader)
        refuse_distant_graders(asked.grader, "grader")
        return await self._turns.take(partial(self._probe, owner_id, asked))

    async def regrade(self, request: Request, job_id: str, caller: CurrentCaller) -> GraderStudy:
        """Grades the saved answers of a run with another grader, and compares; nothing of the run changes."""
        asked = validate_fields(await self._fields(request), RegradeRollouts)
        if asked.grader is not None:
            refuse_distant_graders(asked.grader, "grader")
        return await self._turns.take(partial(self._regrade, caller, job_id, asked))

    async def _fields(self, request: Request) -> dict[str, Any]:
        body = await read_body(request, self._limits)
        return read_fields(body) if body.strip() else {}

    def _study_dataset(self, owner_id: str, file_id: str, asked: StudyDataset) -> DatasetStudy:
        with self._read(owner_id, file_id) as (path, filename):
            question = DatasetQuestion(
                path=path,
                columns=asked.columns,
                system_prompt=asked.system_prompt,
                first=asked.first,
                count=asked.count,
            )
            found = self._study(question, "file_id", "invalid_file", OwnerWords(files={path: filename})).dataset
        assert found is not None, "there is a study or a problem"
        return found

    def _probe(self, owner_id: str, asked: ProbeGrader) -> GraderStudy:
        with self._read(owner_id, asked.file_id) as (path, filename):
            question = ProbingQuestion(
                path=path,
                columns=asked.columns,
                grader=asked.grader,
                answer_field=asked.answer_field,
                limit=asked.limit,
            )
            found = self._study(question, "grader", "invalid_grader", OwnerWords(files={path: filename})).grader
        assert found is not None, "there is a study or a problem"
        return found

    def _regrade(self, caller: Caller, job_id: str, asked: RegradeRollouts) -> GraderStudy:
        run = self._sources.find(caller, job_id).directory.path
        question = RegradingQuestion(run=run, grader=asked.grader, limit=asked.limit)
        words = OwnerWords(paths={str(run): "the run", str(run.parent): "the job"})
        found = self._study(question, "grader", "cannot_regrade", words).grader
        assert found is not None, "there is a study or a problem"
        return found

    @contextmanager
    def _read(self, owner_id: str, file_id: str) -> Iterator[tuple[Path, str]]:
        """The path of a file, and what its owner calls it."""
        file = self._files.find(owner_id, file_id)
        with borrow_file(self._files, file, self._folder) as path:
            yield path, file.filename

    def _study(self, question: StudyQuestion, param: str, code: str, words: OwnerWords) -> StudyReply:
        """Raises ApiError: in the owner's words."""
        reply = self._ask(question)
        if reply.problem is not None:
            raise invalid_request(words.say(reply.problem), param=param, code=code)
        dataset, grader = reply.dataset, reply.grader
        if dataset is not None:
            shown = [replace(row, label=words.say(row.label)) for row in dataset.shown]
            dataset = replace(dataset, shown=shown)
        if grader is not None:
            answers = [replace(answer, label=words.say(answer.label)) for answer in grader.answers]
            numbers = {name: words.say_all(value) for name, value in grader.numbers.items()}
            grader = replace(grader, answers=answers, numbers=numbers)
        return replace(reply, dataset=dataset, grader=grader)
