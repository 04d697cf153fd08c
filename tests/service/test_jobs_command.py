"""`verifine jobs`, with a service that answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from verifine.errors import ConfigError, SetupError, StoppedError
from verifine.runs.directory import RunDirectory
from verifine.service.client.connection import ServiceConnection, connect, find_key, find_server
from verifine.service.client.watching import watch_job
from verifine.service.database.paging import PageQuery
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.job import JobNews
from verifine.service.jobs.states import JobState
from verifine.service.jobs.store import NewJob
from verifine.testing.job_runs import FakeRun
from verifine.testing.service_parts import serve_parts

from .conftest import KEY, RunningService

Command = Callable[..., tuple[int, str, str]]

ROWS = "".join(
    json.dumps({"messages": [{"role": "user", "content": f"{n} + 2?"}], "answer": str(n + 2)}) + "\n" for n in range(40)
)
GRADER = {
    "type": "string_check",
    "name": "exact",
    "input": "{{ sample.output_text }}",
    "reference": "{{ item.answer }}",
    "operation": "eq",
}
REQUEST = {
    "model": "tiny",
    "training_file": "train.jsonl",
    "method": {"type": "reinforcement", "reinforcement": {"grader": GRADER}},
    "suffix": "mine",
}


@pytest.fixture
def jobs(verifine: Command, service: RunningService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """`verifine jobs`, which knows the service."""
    monkeypatch.setenv("VERIFINE_SERVER", service.url)
    monkeypatch.setenv("VERIFINE_API_KEY", service.key)
    (tmp_path / "train.jsonl").write_text(ROWS)
    (tmp_path / "job.json").write_text(json.dumps(REQUEST))
    return lambda *words: verifine("jobs", *words)


def read(answer: tuple[int, str, str]) -> Any:
    code, out, _ = answer
    assert code == 0
    return json.loads(out)


def change(parts: ServiceParts, job_id: str, *states: JobState) -> None:
    for state in states:
        parts.jobs.ask("local", job_id, {state: list(JobState)}, JobNews(message=f"It is {state}"))


def test_a_request_is_sent_with_its_files(jobs: Command, parts: ServiceParts, tmp_path: Path) -> None:
    code, out, told = jobs("create", tmp_path / "job.json", "--json")
    assert code == 0
    job = json.loads(out)
    file = parts.files.find("local", job["training_file"])
    assert file.filename == "train.jsonl"
    assert parts.files.path(file).read_text() == ROWS
    assert job["user_provided_suffix"] == "mine"
    assert job["training_file"] in told
    assert read(jobs("show", job["id"], "--json")) == job
    assert [each["id"] for each in read(jobs("list", "--json"))] == [job["id"]]
    for verb in ("list", "logs"):
        assert job["id"] in jobs(verb, *([job["id"]] if verb == "logs" else []))[1]


def test_a_config_is_sent_as_a_request(jobs: Command, tmp_path: Path) -> None:
    text = f"model: {{name: tiny}}\ndata: {{train: {tmp_path / 'train.jsonl'}}}\ngrader: {json.dumps(GRADER)}\n"
    (tmp_path / "run.yaml").write_text(text)
    job = read(jobs("create", tmp_path / "run.yaml", "sampling.group_size=4", "run.seed=3", "--json"))
    assert job["method"]["reinforcement"]["hyperparameters"]["group_size"] == 4
    assert (job["seed"], job["model"]) == (3, "tiny")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "unknown"}, "unknown"),
        ({"seed": -1}, "seed"),
        ({"validation_file": "nothing.jsonl"}, "/nothing.jsonl on this machine: a path is relative to "),
        ({"validation_file": "job.json"}, "job.json"),
    ],
)
def test_a_refused_request_leaves_no_file_at_the_service(
    jobs: Command, parts: ServiceParts, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    (tmp_path / "job.json").write_text(json.dumps(REQUEST | change))
    code, out, errors = jobs("create", tmp_path / "job.json")
    assert (code, out) == (ConfigError.exit_code, "")
    assert told in errors
    assert ("uploaded" in errors) == ("validation_file" in change)
    assert not parts.files.list("local", PageQuery(limit=10), None).items
    assert not read(jobs("list", "--json"))


def test_a_file_that_a_config_names_is_looked_for_before_anything_is_sent(
    jobs: Command, parts: ServiceParts, tmp_path: Path
) -> None:
    train, held_out = tmp_path / "train.jsonl", tmp_path / "nothing.jsonl"
    data = json.dumps({"train": str(train), "eval": str(held_out)})
    (tmp_path / "run.yaml").write_text(f"model: {{name: tiny}}\ndata: {data}\ngrader: {json.dumps(GRADER)}\n")
    code, _, errors = jobs("create", tmp_path / "run.yaml")
    assert code == ConfigError.exit_code
    assert errors == f"verifine: data.eval: there is no file {held_out} on this machine\n"


def test_a_request_that_is_no_json_is_told_with_its_place(jobs: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"model": "tiny",\n "seed": }')
    code, _, errors = jobs("create", tmp_path / "bad.json")
    assert code == ConfigError.exit_code
    assert f"{tmp_path / 'bad.json'} line 2, column 10: this is no JSON" in errors


def test_a_job_is_paused_resumed_and_cancelled(jobs: Command, parts: ServiceParts, tmp_path: Path) -> None:
    job_id = read(jobs("create", tmp_path / "job.json", "--json"))["id"]
    change(parts, job_id, JobState.QUEUED, JobState.RUNNING)
    code, out, told = jobs("pause", job_id, "--json")
    assert (code, json.loads(out)["status"]) == (0, "running")
    assert told == "the job will be paused after its current step\n"
    code, _, told = jobs("resume", job_id)
    assert (code, "pausing" in told) == (ConfigError.exit_code, True)
    change(parts, job_id, JobState.PAUSED)
    assert "it was asked to" in jobs("show", job_id)[1]
    change(parts, job_id, JobState.QUEUED, JobState.RUNNING)
    assert jobs("cancel", job_id)[2] == "the job will be cancelled after its current step\n"


def test_a_job_that_is_cancelled_at_once_is_not_told_to_wait(jobs: Command, tmp_path: Path) -> None:
    job_id = read(jobs("create", tmp_path / "job.json", "--json"))["id"]
    code, out, told = jobs("cancel", job_id)
    assert (code, told) == (0, "")
    assert "cancelled" in out


@pytest.mark.parametrize(("state", "code"), [(JobState.SUCCEEDED, 0), (JobState.FAILED, 5)])
def test_watching_ends_with_the_job(
    jobs: Command, parts: ServiceParts, tmp_path: Path, state: JobState, code: int
) -> None:
    job_id = read(jobs("create", tmp_path / "job.json", "--json"))["id"]
    change(parts, job_id, JobState.QUEUED, JobState.RUNNING, state)
    ended, out, _ = jobs("watch", job_id)
    assert ended == code
    assert out.splitlines()[-1] == f"the job is {state}"
    assert f"It is {state}" in out
    messages = [json.loads(line) for line in jobs("watch", job_id, "--json")[1].splitlines()]
    assert [each["type"] for each in messages] == ["events", "end"]


def test_watching_survives_a_restart_of_the_service_and_a_resume_of_the_run(
    parts: ServiceParts, tmp_path: Path
) -> None:
    request: Any = {"model": "tiny", "method": {}, "seed": 1}
    job = parts.jobs.create("local", NewJob(request=request, training_file="file-1"))
    change(parts, job.id, JobState.QUEUED, JobState.RUNNING)
    run = FakeRun(directory=RunDirectory(path=tmp_path / "jobs" / job.id / "run"))
    run.begin()
    run.steps(1, 5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    running = ExitStack()
    url = running.enter_context(serve_parts(parts, port))
    waits: list[float] = []
    told: list[str] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            run.begin(from_step=3)
            run.steps(4, 6)
            change(parts, job.id, JobState.SUCCEEDED)
            running.enter_context(serve_parts(parts, port))

    steps: list[int] = []
    with ServiceConnection(url, KEY) as service:
        for name, content in watch_job(service, job.id, told.append, wait):
            if name == "steps":
                if not steps:
                    running.close()
                if content["rewound_to"] is not None:
                    steps = [step for step in steps if step <= content["rewound_to"]]
                steps += [each["step"] for each in content["steps"]]
    running.close()
    assert steps == [1, 2, 3, 4, 5, 6]
    assert len(waits) == 2
    assert len(told) == 2


def test_whoever_stops_watching_is_told_that_the_job_goes_on() -> None:
    def interrupt(_: httpx2.Request) -> httpx2.Response:
        raise KeyboardInterrupt

    with (
        ServiceConnection("http://somewhere", "k", httpx2.MockTransport(interrupt)) as service,
        pytest.raises(StoppedError, match="the job goes on; `verifine jobs watch ftjob-1`"),
    ):
        list(watch_job(service, "ftjob-1", print))


def test_no_service_is_told_with_what_to_do(verifine: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFINE_API_KEY", "vf_a_b")
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    for words in (("list",), ("watch", "ftjob-1"), ("create", __file__)):
        code, out, told = verifine("jobs", *words, "--server", url)
        assert (code, out) == ((SetupError if words[0] != "create" else ConfigError).exit_code, "")
    code, _, told = verifine("jobs", "list", "--server", url)
    assert "verifine serve" in told
    assert url in told


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("show", "ftjob-nothing"), ConfigError.exit_code),
        (("show", "../files"), ConfigError.exit_code),
        (("show", ".."), ConfigError.exit_code),
        (("create", "nothing.json"), ConfigError.exit_code),
        (("create", "nothing.yaml"), ConfigError.exit_code),
        (("list", "--server", "nowhere"), ConfigError.exit_code),
        (("list", "--server", "http://[::1"), ConfigError.exit_code),
    ],
)
def test_what_is_wrong_is_told_in_one_message(jobs: Command, words: tuple[str, ...], code: int) -> None:
    ended, out, told = jobs(*words)
    assert (ended, out) == (code, "")
    assert told.startswith("verifine: ")
    assert "Traceback" not in told


def test_a_wrong_key_is_told(jobs: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFINE_API_KEY", "vf_local_wrong")
    code, _, told = jobs("list")
    assert code == SetupError.exit_code
    assert "VERIFINE_API_KEY" in told


def test_the_key_of_the_data_folder_is_for_this_machine_only(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("vf_local_a\n")
    assert find_key("http://localhost:1", tmp_path, {}) == "vf_local_a"
    assert find_key("http://localhost:1", tmp_path, {"OPENAI_API_KEY": "sk-theirs"}) == "vf_local_a"
    assert find_key("http://elsewhere:1", tmp_path, {"OPENAI_API_KEY": "vf_b_c"}) == "vf_b_c"
    for environment in ({}, {"OPENAI_API_KEY": "sk-theirs"}):
        with pytest.raises(SetupError, match="VERIFINE_API_KEY"):
            find_key("http://elsewhere:1", tmp_path, environment)


def test_the_server_is_given_or_in_the_environment_or_the_usual_one() -> None:
    assert find_server("http://a", {"VERIFINE_SERVER": "http://b"}) == "http://a"
    assert find_server(None, {"VERIFINE_SERVER": "http://b"}) == "http://b"
    assert find_server(None, {}) == "http://127.0.0.1:8080"


def test_what_serve_prints_to_be_pasted_names_the_service() -> None:
    pasted = {"OPENAI_BASE_URL": "http://c:1/v1", "OPENAI_API_KEY": "vf_local_a"}
    assert find_server(None, pasted) == "http://c:1/v1"
    assert find_server(None, pasted | {"VERIFINE_SERVER": "http://b"}) == "http://b"
    for other in ({"OPENAI_API_KEY": "sk-theirs"}, {"VERIFINE_API_KEY": "vf_local_b"}):
        assert find_server(None, pasted | other) == "http://127.0.0.1:8080"


def test_an_address_without_a_scheme_is_told_with_where_it_was_given() -> None:
    with pytest.raises(ConfigError, match="--server 127.0.0.1:18080: .* write http://127.0.0.1:18080"):
        find_server("127.0.0.1:18080", {})
    with pytest.raises(ConfigError, match="VERIFINE_SERVER localhost:1: "):
        find_server(None, {"VERIFINE_SERVER": "localhost:1"})


def test_a_data_folder_that_is_given_has_the_key(tmp_path: Path) -> None:
    environment = {"VERIFINE_API_KEY": "vf_of_another", "XDG_CACHE_HOME": str(tmp_path)}
    with pytest.raises(SetupError, match="nowhere/key: there is no such file"):
        connect("http://localhost:1", tmp_path / "nowhere", environment)
    (tmp_path / "key").write_text("vf_local_a\n")
    assert find_key("http://localhost:1", tmp_path, environment) == "vf_local_a"
    assert find_key("http://elsewhere:1", tmp_path, environment) == "vf_of_another"


def test_without_a_key_it_is_told_first_whether_a_service_answers(service: RunningService, tmp_path: Path) -> None:
    environment = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    with pytest.raises(SetupError, match="there is no key for"):
        connect(service.url, None, environment)
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(SetupError, match="no service answers at"):
        connect(url, None, environment)


def test_another_server_is_told_apart(parts: ServiceParts) -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, text="<html>nothing here</html>")

    with (
        ServiceConnection("http://somewhere/v1/", "k", httpx2.MockTransport(answer)) as service,
        pytest.raises(SetupError, match="no service of Verifine"),
    ):
        service.get("/v1/files")
