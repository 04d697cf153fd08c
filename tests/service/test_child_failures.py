"""Processes that fail while they answer, and disks that do not take what these are to read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from verifine.errors import ConfigError, VerifineError
from verifine.service.child import ChildError
from verifine.service.http.app import ServiceParts
from verifine.service.inspection.inspector import Inspector
from verifine.service.inspection.preview import RunPreviews
from verifine.service.jobs.file_check import check_files
from verifine.service.jobs.validation import JobValidator
from verifine.testing.service_parts import serve_parts

from .conftest import KEY

GRADER = {"type": "string_check", "name": "equal", "input": "a", "reference": "{{ item.answer }}", "operation": "eq"}
ROW = b'{"messages": [{"role": "user", "content": "q"}], "answer": "a"}\n'
HEADERS = {"authorization": f"Bearer {KEY}"}

QUESTIONS = ["study", "probe", "resolve", "trial", "run", "validate"]
WITH_FILES = QUESTIONS[:4]


def ask(http: httpx2.Client, question: str, file_id: str) -> httpx2.Response:
    method = {"type": "reinforcement", "reinforcement": {"grader": GRADER}}
    job = {"model": "tiny", "training_file": file_id, "method": method}
    graders = "/v1/fine_tuning/alpha/graders"
    address, body = {
        "study": (f"/api/files/{file_id}/study", {}),
        "probe": ("/api/graders/probe", {"grader": GRADER, "file_id": file_id}),
        "resolve": ("/api/resolve", job),
        "trial": ("/api/trial?row=0", job),
        "run": (f"{graders}/run", {"grader": GRADER, "model_sample": "a"}),
        "validate": (f"{graders}/validate", {"grader": GRADER}),
    }[question]
    return http.post(address, json=body)


@pytest.fixture
def file_id(client: openai.OpenAI) -> str:
    return client.files.create(file=("mine.jsonl", ROW * 8), purpose="fine-tune").id


@contextmanager
def failing(parts: ServiceParts, tmp_path: Path, error: VerifineError) -> Iterator[httpx2.Client]:
    """A client of a service whose processes all end with this error."""

    def fail(*_: Any) -> Any:
        raise error

    folder = tmp_path / "reading"
    validator = JobValidator(parts.jobs, parts.files, parts.models, folder, check_files)
    previews = RunPreviews(validator, parts.models, Inspector(fail, tmp_path / "kept"), folder)
    broken = replace(parts, study=fail, try_grader=fail, previews=previews)
    with serve_parts(broken) as url, httpx2.Client(base_url=url, headers=HEADERS, timeout=60) as http:
        yield http


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_process_that_fails_is_told_and_not_asked_again(
    parts: ServiceParts, file_id: str, tmp_path: Path, question: str
) -> None:
    with failing(parts, tmp_path, ChildError("the process failed: MemoryError")) as http:
        answer = ask(http, question, file_id)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert "MemoryError" in answer.json()["error"]["message"]
    assert not list((tmp_path / "reading").glob("*"))


@pytest.mark.parametrize("question", WITH_FILES)
def test_a_process_that_takes_too_long_is_told(
    parts: ServiceParts, file_id: str, tmp_path: Path, question: str
) -> None:
    with failing(parts, tmp_path, ChildError("it took longer than 300 s", is_late=True)) as http:
        answer = ask(http, question, file_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "took_too_long")


@pytest.mark.parametrize("question", WITH_FILES)
def test_a_file_that_cannot_be_linked_is_told_and_not_asked_again(
    http: httpx2.Client, file_id: str, tmp_path: Path, question: str
) -> None:
    (tmp_path / "reading").write_text("a file in place of the folder")
    answer = ask(http, question, file_id)
    assert (answer.status_code, answer.headers["x-should-retry"]) == (507, "false")
    assert str(tmp_path) not in answer.text


@pytest.mark.parametrize("question", ["resolve", "trial"])
def test_settings_that_do_not_go_together_are_the_request_s_fault(
    parts: ServiceParts, file_id: str, tmp_path: Path, question: str
) -> None:
    with failing(parts, tmp_path, ConfigError(f"{tmp_path / 'reading'}: no")) as http:
        answer = ask(http, question, file_id)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "cannot_be_trained")
