"""A service with a little of everything in it, which generated requests are sent to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from verifine.config import build_config, dump_config
from verifine.launch.inspection.question import REPLY, InspectionReply
from verifine.runs.directory import RunDirectory
from verifine.runs.events import RunEnded
from verifine.runs.rollouts import GradedGroup, write_rollouts
from verifine.runs.status import Status
from verifine.service.access.caller import Caller
from verifine.service.access.scopes import SCOPES
from verifine.service.child import Children
from verifine.service.database import Database, migrate
from verifine.service.database.owners import LOCAL, ensure_owner
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.job import JobNews
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.service.limits import ServiceLimits
from verifine.service.run_views.marks import MarkPlace
from verifine.testing.described_answers import DescribedAnswers
from verifine.testing.endpoint_processes import FakeEndpoints
from verifine.testing.generated_requests import GeneratedRequest
from verifine.testing.job_runs import FakeRun
from verifine.testing.service_parts import make_parts, serve_parts
from verifine.types import FinishReason, Grade, Group, Prompt, Rollout

ADMINISTRATOR = Caller(owner_id=LOCAL, scopes=frozenset(SCOPES), key_id="local")

MOST_S = 2.0
"""What a request may take."""
KEY = "vf_local_requested"
GRADER: dict[str, Any] = {
    "type": "string_check",
    "name": "equal",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
ROWS = b"".join(b'{"messages": [{"role": "user", "content": "q%d"}], "answer": "a"}\n' % n for n in range(20))
ENDLESS = "/stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """A request, and what came back."""

    request: GeneratedRequest
    status: int
    seconds: float
    """Until the answer was complete; of streams of server-sent events, until it began."""
    body: bytes
    fault: str | None
    """How it differs from the description; None: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedService:
    """A service that answers."""

    http: httpx2.Client
    """With a key of the local owner's, for everything."""
    parts: ServiceParts
    description: Mapping[str, Any]
    described: DescribedAnswers
    known: Mapping[str, Sequence[str]]
    """Ids that there are, by the names of parameters and fields."""

    @classmethod
    @contextmanager
    def open(cls, folder: Path, database_url: str | None = None) -> Iterator[RequestedService]:
        """`database_url` None: SQLite in the folder."""
        database = Database(database_url or f"sqlite:///{folder / 'service.db'}")
        migrate(database)
        for owner in (LOCAL, "bob"):
            ensure_owner(database, owner)
        parts = make_parts(
            database,
            folder,
            now=time.time,
            key=KEY,
            limits=ServiceLimits(file_bytes=100_000, body_bytes=100_000, answer_seconds=0.5, streams=50),
            endpoints=FakeEndpoints(folder / "socket"),
            children=Children(environment={}),
            inspect=lambda *_: REPLY.dump_json(InspectionReply(problem="nobody is asked")),
        )
        known = _fill(parts, folder)
        with serve_parts(parts) as url, httpx2.Client(base_url=url, timeout=60) as http:
            http.headers["authorization"] = f"Bearer {KEY}"
            description = http.get("/openapi.json").json()
            described = DescribedAnswers(description)
            yield cls(http=http, parts=parts, description=description, described=described, known=known)
        database.close()

    def ask(self, request: GeneratedRequest) -> AnsweredRequest:
        began = time.monotonic()
        headers = dict(request.headers)
        with self.http.stream(request.method, request.path, headers=headers, content=request.body) as answer:
            kind = answer.headers.get("content-type", "")
            body = b"" if kind.startswith("text/event-stream") and request.route.endswith(ENDLESS) else answer.read()
        seconds = time.monotonic() - began
        fault = self.described.find_fault(request.method, request.route, answer.status_code, kind, body)
        return AnsweredRequest(request=request, status=answer.status_code, seconds=seconds, body=body, fault=fault)


def _fill(parts: ServiceParts, folder: Path) -> dict[str, Sequence[str]]:
    def add_file(owner: str) -> str:
        draft = parts.files.begin(100_000)
        draft.write(ROWS)
        return parts.files.add(owner, draft, filename="rows.jsonl", purpose="fine-tune").id

    def add_job(owner: str, *states: JobState) -> str:
        method = {"type": "reinforcement", "reinforcement": {"grader": GRADER, "hyperparameters": {}}}
        request: Any = {"model": "tiny", "training_file": file_id, "method": method, "seed": 1}
        job = parts.jobs.create(owner, NewJob(request=request, training_file=file_id, metadata={"a": "b"}))
        for state in states:
            parts.jobs.ask(owner, job.id, {state: list(JobState)}, JobNews(message="It changed"))
        return job.id

    file_id, theirs = add_file(LOCAL), add_file("bob")
    ended = add_job(LOCAL, JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED)
    running = add_job(LOCAL, JobState.QUEUED, JobState.RUNNING)
    jobs = [ended, ended, running, add_job(LOCAL), add_job("bob")]
    (folder / "rows.jsonl").write_bytes(ROWS)
    _write_run(folder / "jobs" / ended / "run", folder / "rows.jsonl")
    _write_run(folder / "runs" / "mine", folder / "rows.jsonl")
    [run] = parts.runs.list_runs(ADMINISTRATOR)
    place = MarkPlace(run_id=ended, step=1, group=0, sample=0)
    answer = {"prompt_id": "0", "prompt": "q0", "text": "a", "score": 1.0}
    marks = [parts.marks.put(owner, place, is_flagged=True, note="", answer=answer).id for owner in (LOCAL, "bob")]
    files = [file_id, file_id, theirs]
    return {
        "job_id": [*jobs, run.id],
        "file_id": files,
        "training_file": files,
        "validation_file": files,
        "mark_id": marks,
        "model": ["tiny", "tiny", "SmolLM2-135M-Instruct", f"ft:tiny:org-local::{ended[:8]}"],
        "step": ["1", "1", "2", "0"],
        "group": ["0", "0", "1"],
        "after": [ended, file_id, marks[0]],
        "name": ["reward", "loss"],
    }


def _write_run(path: Path, rows: Path) -> None:
    run = FakeRun(directory=RunDirectory(path=path))
    run.begin()
    data = {"train": rows, "eval": rows}
    config = build_config({"data": data, "grader": GRADER, "sampling": {"prompts_per_step": 2}})
    run.directory.config.write_text(dump_config(config))
    run.steps(1, 300)
    prompt = Prompt(id="0", token_ids=(1,), item={})
    rollout = Rollout(
        prompt=prompt,
        token_ids=(7, 8),
        behaviour_logprobs=(-0.5, -1.0),
        text="a\ud83d",
        finish_reason=FinishReason.STOP,
    )
    group = Group(prompt=prompt, rollouts=(rollout,) * 4).graded([Grade(score=1.0)] * 4)
    written = GradedGroup(group=group, prompt="q0", rewards=[1.0] * 4, advantages=[0.0] * 4)
    write_rollouts(run.directory.rollouts, 1, [written])
    run.write(RunEnded(status=Status.FINISHED))
