"""What a client of `/api/jobs/{id}/stream` is told, however often it, the service or the run is interrupted."""

from __future__ import annotations

import socket
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verifine.runs.directory import RunDirectory
from verifine.runs.evaluations import EvaluatedSample, Evaluation, write_evaluation
from verifine.runs.metrics import read_metrics
from verifine.service.access.caller import Caller
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.job import Job, JobNews
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.service.run_views.run_follower import (
    PART_BYTES,
    EvaluationsPart,
    StatePart,
    StepsPart,
    StreamPart,
    read_run_news,
)
from verifine.service.run_views.sources import FoundRun, RunSources
from verifine.service.run_views.stream_cursor import StreamCursor
from verifine.testing.job_runs import FakeRun
from verifine.testing.service_parts import serve_parts

from .conftest import KEY, RunningService

ENDED = JobNews(message="The job has successfully completed")


@dataclass(slots=True)
class Client:
    """A client that keeps what it is told."""

    cursor: StreamCursor = field(default_factory=StreamCursor)
    steps: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[str] = field(default_factory=list)

    def take(self, part: StreamPart, cursor: StreamCursor) -> None:
        match part:
            case StepsPart(rewound_to=rewound_to, steps=steps):
                if rewound_to is not None:
                    self.steps = [each for each in self.steps if each[0] <= rewound_to]
                self.steps += [(step.step, step.metrics["reward"]) for step in steps]
            case EvaluationsPart(rewound_to=rewound_to, evaluations=made):
                if rewound_to is not None:
                    kept = [name for name in self.evaluations if int(name.removeprefix("step-")) <= rewound_to]
                    self.evaluations = kept
                self.evaluations += [each.name for each in made]
        self.cursor = StreamCursor.parse(str(cursor))


def look(run: FakeRun, client: Client, parts: int | None = None) -> None:
    """Until nothing is new, or a connection ends after so many parts."""
    taken = 0
    found = FoundRun(id="run", job=None, directory=run.directory)
    while True:
        news = list(read_run_news(found, lambda *_: [], client.cursor))
        for part, cursor in news:
            if parts is not None and taken == parts:
                return
            client.take(part, cursor)
            taken += 1
        if not [part for part, _ in news if not isinstance(part, StatePart)]:
            return


def evaluate(run: FakeRun, step: int) -> None:
    sample = EvaluatedSample(prompt_id="a", prompt="", text="", score=0.5, format_ok=None, answer_ok=None)
    write_evaluation(run.directory.evaluations, Evaluation(name=f"step-{step}", samples=(sample,)))


ACTIONS = st.lists(
    st.one_of(
        st.integers(min_value=1, max_value=4).map(lambda count: ("train", count)),
        st.integers(min_value=1, max_value=8).map(lambda step: ("resume", step)),
        st.integers(min_value=0, max_value=3).map(lambda parts: ("look", parts)),
    ),
    max_size=30,
)


@given(ACTIONS)
def test_no_point_is_lost_and_none_is_told_twice_wherever_connections_end_and_runs_go_back(
    actions: Sequence[tuple[str, int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = FakeRun(directory=RunDirectory(path=Path(folder)))
        run.begin()
        client, last = Client(), 0
        for action, number in actions:
            match action:
                case "train":
                    run.steps(last + 1, last + number)
                    last += number
                    evaluate(run, last)
                case "resume":
                    last = min(last, number)
                    run.begin(from_step=last)
                case "look":
                    look(run, client, number)
        look(run, client)
        assert client.steps == [(each.step, each.metrics["reward"]) for each in read_metrics(run.directory.metrics)]
        assert set(client.evaluations) == {path.stem for path in run.directory.evaluations.glob("*.json")}
        assert len(client.evaluations) == len(set(client.evaluations))


@pytest.mark.parametrize("text", ["running.12.1-3400.2-7", ".0.0-0.0-0"])
def test_a_cursor_is_read_as_it_was_written(text: str) -> None:
    assert str(StreamCursor.parse(text)) == text


@pytest.fixture
def run(job: Job, tmp_path: Path) -> FakeRun:
    return FakeRun(directory=RunDirectory(path=tmp_path / "jobs" / job.id / "run"))


def change(parts: ServiceParts, job: Job, state: JobState) -> None:
    parts.jobs.ask("local", job.id, {state: list(JobState)}, ENDED)


def succeed(parts: ServiceParts, job: Job) -> None:
    for state in (JobState.QUEUED, JobState.RUNNING, JobState.SUCCEEDED):
        change(parts, job, state)


def follow(http: httpx2.Client, job_id: str, last_id: str = "") -> Generator[httpx2.ServerSentEvent, None, None]:
    headers = {"last-event-id": last_id} if last_id else {}
    with http.stream("GET", f"/api/jobs/{job_id}/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield from (each for each in httpx2.EventSource(answer) if each.retry is None)


def told(messages: Sequence[httpx2.ServerSentEvent]) -> list[tuple[str, Any]]:
    return [(each.event, each.json()) for each in messages]


def test_a_stream_tells_everything_and_then_ends(
    parts: ServiceParts, http: httpx2.Client, job: Job, run: FakeRun
) -> None:
    run.begin()
    run.steps(1, 2)
    evaluate(run, 2)
    succeed(parts, job)
    events, steps, evaluations, end = told(list(follow(http, job.id)))
    assert events[0] == "events"
    assert [each["message"] for each in events[1]["events"]][-1] == ENDED.message
    assert steps == (
        "steps",
        {
            "rewound_to": None,
            "steps": [
                {"step": 1, "metrics": {"reward": 0.1, "step_time": 2.0}},
                {"step": 2, "metrics": {"reward": 0.2, "step_time": 2.0}},
            ],
        },
    )
    assert evaluations[1]["evaluations"][0]["name"] == "step-2"
    assert evaluations[1]["evaluations"][0]["numbers"]["reward"] == 0.5
    assert end == ("end", {"state": "succeeded"})


def test_a_client_that_comes_back_gets_the_rest(
    parts: ServiceParts, http: httpx2.Client, job: Job, run: FakeRun
) -> None:
    run.begin()
    run.steps(1, 5)
    with closing(follow(http, job.id)) as messages:
        seen = next(each for each in messages if each.event == "steps")
    run.begin(from_step=3)
    run.steps(4, 6)
    succeed(parts, job)
    names, data = zip(*told(list(follow(http, job.id, seen.id))), strict=True)
    assert names == ("events", "steps", "end")
    assert data[1]["rewound_to"] == 3
    assert [each["step"] for each in data[1]["steps"]] == [4, 5, 6]


def test_a_stream_follows_a_job_from_state_to_state(
    parts: ServiceParts, http: httpx2.Client, job: Job, run: FakeRun
) -> None:
    states, messages = [], follow(http, job.id)
    for message in messages:
        if message.event == "state":
            states.append(message.json()["state"])  # type: ignore[index]
            change(
                parts, job, {"validating": JobState.QUEUED, "queued": JobState.RUNNING}.get(states[-1], JobState.FAILED)
            )
    assert states == ["validating", "queued", "running"]
    assert message.event == "end"
    assert message.json() == {"state": "failed"}


@pytest.mark.parametrize("last_id", ["nonsense", "running.1.1-2", "a.1.1-2.3-4444444444", "a.1.-1-2.3-4"])
def test_an_id_that_is_none_is_refused(http: httpx2.Client, job: Job, last_id: str) -> None:
    answer = http.get(f"/api/jobs/{job.id}/stream", headers={"last-event-id": last_id})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "Last-Event-ID"


def test_an_id_from_the_middle_of_a_line_ends_the_stream_with_a_fault(
    http: httpx2.Client, job: Job, run: FakeRun
) -> None:
    run.begin()
    run.steps(1, 2)
    [message] = follow(http, job.id, "validating.2.1-5.0-0")
    assert message.event == "fault"
    assert str(run.directory.path) not in message.data


def test_the_job_of_another_owner_is_not_followed(parts: ServiceParts, http: httpx2.Client) -> None:
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    job = parts.jobs.create("bob", NewJob(request=request, training_file="file-1"))
    answer = http.get(f"/api/jobs/{job.id}/stream")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "fine_tune_not_found")


@pytest.mark.slow
def test_a_stream_ends_when_its_key_does(service: RunningService, job: Job) -> None:
    key, made = service.parts.keys.create("local", ["read"])
    headers = {"authorization": f"Bearer {made.reveal()}"}
    with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as reader:
        messages = follow(reader, job.id)
        next(messages)
        service.parts.keys.revoke(key.id)
        assert [each.event for each in messages if each.event == "end"] == []


def test_more_clients_than_allowed_are_refused(parts: ServiceParts, http: httpx2.Client, job: Job) -> None:
    streams = [follow(http, job.id) for _ in range(parts.limits.streams)]
    for each in streams:
        next(each)
    answer = http.get(f"/api/jobs/{job.id}/stream")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    for each in streams:
        each.close()


class CountingSources(RunSources):
    """Counts how often a stream looks at a run."""

    looks = 0

    def find(self, caller: Caller, run_id: str) -> FoundRun:
        self.looks += 1
        return super().find(caller, run_id)


@pytest.mark.slow
def test_a_client_that_reads_nothing_holds_a_few_parts_of_the_run(
    parts: ServiceParts, job: Job, run: FakeRun, tmp_path: Path
) -> None:
    run.begin()
    row = b'{"step": 1, "reward": 0.5, "step_time": 1.23456789}\n'
    run.directory.metrics.write_bytes(row * (64 * PART_BYTES // len(row)))
    sources = CountingSources(parts.jobs, tmp_path / "jobs")
    with (
        serve_parts(replace(parts, runs=sources)) as url,
        socket.create_connection(("127.0.0.1", httpx2.URL(url).port)) as s,
    ):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lines = [f"GET /api/jobs/{job.id}/stream HTTP/1.1", "Host: localhost", f"Authorization: Bearer {KEY}"]
        s.sendall("\r\n".join([*lines, "", ""]).encode())
        before = -1
        while before != sources.looks:
            before = sources.looks
            time.sleep(1)
    assert 2 <= sources.looks < 32
