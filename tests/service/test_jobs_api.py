"""OpenAI's fine-tuning jobs, with its own client where that can ask, and with plain HTTP where it cannot."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.fine_tuning import FineTuningJob

from verifine.config import load_config
from verifine.service.http.app import ServiceParts
from verifine.service.jobs.budget import Budget, budget_of
from verifine.service.jobs.claims import JobClaims
from verifine.service.jobs.file_check import check_files
from verifine.service.jobs.states import JobState
from verifine.service.jobs.validation import JobValidator
from verifine.service.supervisor.progress import JobProgress, write_progress
from verifine.testing.clock import ManualClock

LINE = json.dumps({"messages": [{"role": "user", "content": "2 + 2?"}], "answer": "4"})
STRING_CHECK: dict[str, Any] = {
    "type": "string_check",
    "name": "exact",
    "input": "{{ sample.output_text }}",
    "reference": "{{item.answer}}",
    "operation": "eq",
}
SIMILARITY: dict[str, Any] = {
    "type": "text_similarity",
    "name": "near",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "evaluation_metric": "bleu",
}
PYTHON: dict[str, Any] = {"type": "python", "name": "own", "source": "def grade(sample, item):\n    return 1.0\n"}
MULTI: dict[str, Any] = {
    "type": "multi",
    "name": "both",
    "graders": {"exact": STRING_CHECK, "near": SIMILARITY},
    "calculate_output": "exact + near",
}


def method(grader: dict[str, Any] = STRING_CHECK, **reinforcement: Any) -> Any:
    return {"type": "reinforcement", "reinforcement": {"grader": grader, **reinforcement}}


def upload(client: openai.OpenAI, rows: int = 40, *, content: str | None = None, purpose: Any = "fine-tune") -> str:
    """The id of a file in which every row is another one."""
    lines = [
        json.dumps({"messages": [{"role": "user", "content": f"{n} + 2?"}], "answer": str(n + 2)}) for n in range(rows)
    ]
    data = "\n".join(lines) if content is None else content
    return client.files.create(file=("train.jsonl", data.encode()), purpose=purpose).id


def create(client: openai.OpenAI, **fields: Any) -> FineTuningJob:
    fields.setdefault("training_file", None)
    if fields["training_file"] is None:
        fields["training_file"] = upload(client)
    ask: Any = client.fine_tuning.jobs.create
    job: FineTuningJob = ask(**{"model": "tiny", "method": method(), **fields})
    return job


@pytest.fixture
def validator(parts: ServiceParts, tmp_path: Path) -> JobValidator:
    return JobValidator(parts.jobs, parts.files, parts.models, tmp_path / "jobs", check_files)


@pytest.mark.parametrize("grader", [STRING_CHECK, SIMILARITY, PYTHON, MULTI])
def test_a_job_shows_its_method_as_it_was_given(client: openai.OpenAI, grader: dict[str, Any]) -> None:
    job = create(client, method=method(grader), suffix="mine", seed=7, metadata={"team": "red"})
    assert job.status == "validating_files"
    assert job.id.startswith("ftjob-")
    shown = client.fine_tuning.jobs.with_raw_response.retrieve(job.id)
    fields = json.loads(shown.text)
    assert fields["method"]["reinforcement"]["grader"] == grader
    assert fields["method"]["reinforcement"]["hyperparameters"]["n_epochs"] == "auto"
    assert fields["method"]["reinforcement"]["response_format"] is None
    assert (fields["seed"], fields["metadata"], fields["user_provided_suffix"]) == (7, {"team": "red"}, "mine")
    assert (fields["error"], fields["fine_tuned_model"], fields["result_files"]) == (None, None, [])


@pytest.mark.parametrize("grader", [STRING_CHECK, SIMILARITY, PYTHON])
def test_a_job_passes_the_client_s_strict_validation(client: openai.OpenAI, grader: dict[str, Any]) -> None:
    training_file = upload(client)
    with openai.OpenAI(
        base_url=client.base_url, api_key=client.api_key, max_retries=0, _strict_response_validation=True
    ) as strict:
        job = create(strict, method=method(grader), training_file=training_file)
        assert strict.fine_tuning.jobs.retrieve(job.id) == job
        assert [each.id for each in strict.fine_tuning.jobs.list()] == [job.id]
        assert len(list(strict.fine_tuning.jobs.list_events(job.id))) == 2
        assert strict.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_an_async_client_does_the_same(client: openai.OpenAI) -> None:
    training_file = upload(client)

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=client.api_key) as asynchronous:
            jobs = asynchronous.fine_tuning.jobs
            job = await jobs.create(model="tiny", training_file=training_file, method=method())
            assert [each.id async for each in jobs.list(limit=1)] == [job.id]
            assert (await jobs.cancel(job.id)).status == "cancelled"

    asyncio.run(run())


@pytest.mark.slow
def test_what_is_auto_is_decided_and_written_back_once_the_files_are_read(
    client: openai.OpenAI, validator: JobValidator, parts: ServiceParts
) -> None:
    job = create(client, training_file=upload(client, rows=36), validation_file=upload(client, rows=5))
    assert validator.validate_next()
    assert not validator.validate_next()
    queued = client.fine_tuning.jobs.retrieve(job.id)
    assert queued.status == "queued"
    assert queued.method is not None
    assert queued.method.reinforcement is not None
    assert queued.method.reinforcement.hyperparameters is not None
    assert queued.method.reinforcement.hyperparameters.to_dict() == {
        "batch_size": 8,
        "learning_rate_multiplier": 1.0,
        "n_epochs": 20,
        "compute_multiplier": 1.0,
        "eval_interval": 10,
        "eval_samples": 1,
        "reasoning_effort": "default",
    }
    assert [event.message for event in client.fine_tuning.jobs.list_events(job.id)] == [
        "Files validated, moving job to queued state",
        f"Validating training file: {job.training_file}",
        f"Created fine-tuning job: {job.id}",
    ]


def test_the_run_of_a_job_reads_the_files_and_only_those(
    client: openai.OpenAI, validator: JobValidator, parts: ServiceParts, tmp_path: Path
) -> None:
    training_file = upload(client)
    job = create(client, training_file=training_file, seed=3)
    validator.validate_next()
    path = tmp_path / "config.yaml"
    path.write_text(parts.jobs.find("local", job.id).config)
    config = load_config(path)
    assert config.data.train == tmp_path / "jobs" / job.id / "training_file.jsonl"
    assert config.data.train.read_bytes() == client.files.content(training_file).read()
    assert config.run.directory == tmp_path / "jobs" / job.id / "run"
    assert (config.run.seed, config.model.name) == (3, str(tmp_path / "tiny"))


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f"{LINE}\nnot json\n", "line 2"),
        (f'{LINE}\n{{"answer": "4"}}\n', "line 2"),
        (f'{LINE}\n{LINE}\n{{"messages": []}}\n', "line 3"),
        ("\n\n", "train.jsonl"),
    ],
)
@pytest.mark.parametrize("field", ["training_file", "validation_file"])
def test_a_bad_row_fails_the_job_with_its_line_and_no_path_of_the_machine(
    client: openai.OpenAI, validator: JobValidator, content: str, line: str, field: str, tmp_path: Path
) -> None:
    files = {"training_file": upload(client), field: upload(client, content=content)}
    job = create(client, **files)
    validator.validate_next()
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.param) == (f"invalid_{field}", field)
    assert line in failed.error.message
    assert "train.jsonl" in failed.error.message
    assert str(tmp_path) not in failed.error.message
    assert failed.finished_at is not None


def test_a_grader_that_cannot_be_built_fails_the_job(client: openai.OpenAI, validator: JobValidator) -> None:
    job = create(client, method=method({**PYTHON, "source": "def grade(sample, item:\n"}))
    validator.validate_next()
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert failed.error is not None
    assert (failed.error.code, failed.error.param) == ("invalid_grader", "method.reinforcement.grader")


def test_a_batch_that_the_rows_do_not_fill_fails_the_job(client: openai.OpenAI, validator: JobValidator) -> None:
    job = create(client, method=method(hyperparameters={"batch_size": 100}))
    validator.validate_next()
    failed = client.fine_tuning.jobs.retrieve(job.id)
    assert failed.error is not None
    assert failed.error.param == "method.reinforcement.hyperparameters.batch_size"


def test_a_job_that_is_cancelled_while_its_files_are_read_stays_cancelled(
    client: openai.OpenAI, parts: ServiceParts, tmp_path: Path
) -> None:
    job = create(client)

    def cancel_meanwhile(question: Any) -> Any:
        client.fine_tuning.jobs.cancel(job.id)
        return check_files(question)

    JobValidator(parts.jobs, parts.files, parts.models, tmp_path / "jobs", cancel_meanwhile).validate_next()
    assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"


def test_cancelling_what_is_finished_is_a_conflict_that_is_not_tried_again(client: openai.OpenAI, service: Any) -> None:
    job = create(client)
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    asked = 0

    def count(_: httpx2.Request) -> None:
        nonlocal asked
        asked += 1

    with httpx2.Client(event_hooks={"request": [count]}) as counting:
        retrying = openai.OpenAI(base_url=client.base_url, api_key=client.api_key, max_retries=2, http_client=counting)
        with pytest.raises(openai.ConflictError) as conflict:
            retrying.fine_tuning.jobs.cancel(job.id)
    assert conflict.value.code == "invalid_job_state"
    assert asked == 1


def test_a_running_job_is_asked_to_end(
    client: openai.OpenAI, validator: JobValidator, parts: ServiceParts, database: Any, clock: ManualClock
) -> None:
    job = create(client)
    validator.validate_next()
    claims = JobClaims(database, "supervisor", clock)
    assert claims.claim_next() is not None
    assert client.fine_tuning.jobs.cancel(job.id).status == "running"
    assert parts.jobs.find("local", job.id).state == "cancelling"
    with pytest.raises(openai.ConflictError):
        client.fine_tuning.jobs.cancel(job.id)


def test_a_job_that_its_budget_paused_goes_on_with_a_larger_one(
    client: openai.OpenAI, validator: JobValidator, database: Any, clock: ManualClock
) -> None:
    own = {"run": {"max_steps": 2}, "sampling": {"max_new_tokens": 4}}
    job = create(client, extra_body={"verifine": own})
    validator.validate_next()
    claims = JobClaims(database, "supervisor", clock)
    claim = claims.claim_next()
    assert claim is not None
    assert budget_of(claim.job.run_config()) == Budget(max_steps=2)
    claims.release(claim, JobState.PAUSED, progress=write_progress(JobProgress(ending="max_steps")))
    paused = client.fine_tuning.jobs.retrieve(job.id)
    assert str(paused.status) == "paused"  # which the type of the client leaves out
    assert shown_settings(paused) == {**own, "ending": "max_steps"}

    def resume(more: dict[str, Any]) -> FineTuningJob:
        return client.fine_tuning.jobs.resume(job.id, extra_body={"verifine": {"run": more}})

    for too_little in ({}, {"max_steps": 2}, {"max_minutes": 5}, {"max_steps": 0}, {"steps": 5}):
        with pytest.raises(openai.BadRequestError) as refusal:
            resume(too_little)
        assert str(refusal.value.param).startswith("verifine.run.")
    resumed = resume({"max_steps": 4})
    assert resumed.status == "queued"
    assert shown_settings(resumed) == {**own, "run": {"max_steps": 4}}
    again = claims.claim_next()
    assert again is not None
    assert budget_of(again.job.run_config()) == Budget(max_steps=4)


def shown_settings(job: FineTuningJob) -> Any:
    assert job.model_extra is not None
    return job.model_extra["verifine"]


def test_pages_and_metadata_find_jobs(client: openai.OpenAI, http: httpx2.Client) -> None:
    training_file = upload(client)
    metadata: list[dict[str, str] | None] = [{"team": "red"}, {"team": "blue"}, None, {"team": "red", "n": "1"}]
    made = [create(client, training_file=training_file, metadata=each or openai.NOT_GIVEN).id for each in metadata]
    jobs = client.fine_tuning.jobs
    assert [job.id for job in jobs.list(limit=2)] == made[::-1]
    assert [job.id for job in jobs.list(metadata={"team": "red"}, limit=1)] == [made[3], made[0]]
    assert [job.id for job in jobs.list(extra_query={"metadata": "null"})] == [made[2]]
    for query, param in (("limit=0", "limit"), ("limit=101", "limit"), ("after=ftjob-no", "after")):
        answer = http.get(f"/v1/fine_tuning/jobs?{query}")
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_events_are_paged_newest_first(client: openai.OpenAI) -> None:
    job = create(client)
    client.fine_tuning.jobs.cancel(job.id)
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=1))
    assert [event.message for event in events][::-1] == [
        f"Created fine-tuning job: {job.id}",
        f"Validating training file: {job.training_file}",
        "Job cancelled",
    ]
    assert [event.level for event in events] == ["warn", "info", "info"]


def test_a_request_that_is_repeated_with_its_key_makes_one_job(client: openai.OpenAI, clock: ManualClock) -> None:
    training_file = upload(client)
    key = {"Idempotency-Key": "once"}
    first = create(client, training_file=training_file, extra_headers=key)
    assert create(client, training_file=training_file, extra_headers=key) == first
    with pytest.raises(openai.ConflictError) as reused:
        create(client, training_file=training_file, seed=5, extra_headers=key)
    assert reused.value.code == "idempotency_key_reused"
    clock.advance(24 * 3600)
    assert create(client, training_file=training_file, seed=5, extra_headers=key).id != first.id


def test_a_file_of_a_job_that_is_not_finished_cannot_be_deleted(client: openai.OpenAI) -> None:
    files = {"training_file": upload(client), "validation_file": upload(client)}
    job = create(client, **files)
    for file_id in files.values():
        with pytest.raises(openai.ConflictError) as used:
            client.files.delete(file_id)
        assert used.value.code == "file_in_use"
    client.fine_tuning.jobs.cancel(job.id)
    for file_id in files.values():
        assert client.files.delete(file_id).deleted


def test_files_and_models_that_are_not_there_are_refused_at_once(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        create(client, model="gpt-4o")
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as missing:
        create(client, training_file="file-nothing")
    assert (missing.value.code, missing.value.param) == ("file_not_found", "training_file")
    with pytest.raises(openai.BadRequestError) as missing:
        create(client, validation_file="file-nothing")
    assert missing.value.param == "validation_file"
    with pytest.raises(openai.BadRequestError) as other:
        create(client, training_file=upload(client, purpose="user_data"))
    assert (other.value.code, other.value.param) == ("invalid_file", "training_file")


def test_what_the_schema_refuses_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refusal:
        create(client, method=method(hyperparameters={"n_epochs": 51}))
    assert refusal.value.param == "method.reinforcement.hyperparameters.n_epochs"
    assert (refusal.value.code, refusal.value.type) == ("invalid_value", "invalid_request_error")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"method": method(grader={**STRING_CHECK, "reference": "a\0b"})}, "method.reinforcement.grader.reference"),
        ({"metadata": {"a\0b": "c"}}, "metadata.a\\u0000b"),
        ({"verifine": {"data": {"columns": [["\0"]]}}}, "verifine.data.columns"),
        ({"suffix": "\0"}, "suffix"),
    ],
)
def test_nul_is_refused_in_every_field(http: httpx2.Client, fields: dict[str, Any], param: str) -> None:
    asked = {"model": "tiny", "training_file": "file-a", "method": method(), **fields}
    answer = http.post("/v1/fine_tuning/jobs", json=asked)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, "invalid_value")
    assert error["message"] == f'"{param}" holds NUL (\\u0000), which cannot be stored; leave it out'


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": NaN}'])
def test_a_body_that_is_no_json_object_is_refused(http: httpx2.Client, body: bytes) -> None:
    answer = http.post("/v1/fine_tuning/jobs", content=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


def test_a_body_of_too_many_bytes_is_refused(http: httpx2.Client, parts: ServiceParts) -> None:
    answer = http.post("/v1/fine_tuning/jobs", content=b"x" * (parts.limits.body_bytes + 1))
    assert answer.status_code == 413


def test_a_job_that_there_is_not_is_not_found(client: openai.OpenAI) -> None:
    jobs = client.fine_tuning.jobs
    for call in (jobs.retrieve, jobs.cancel, jobs.list_events):
        with pytest.raises(openai.NotFoundError) as missing:
            call("ftjob-nothing")
        assert missing.value.code == "fine_tune_not_found"
