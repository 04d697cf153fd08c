"""What every route of the service has in common."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import httpx2
import openai
import pytest


@pytest.mark.parametrize("key", ["wrong", "vf_local_secret2", "ÿ"])
def test_a_wrong_key_is_refused(client: openai.OpenAI, key: str) -> None:
    with httpx2.Client(base_url=str(client.base_url), timeout=60) as plain:
        answer = plain.get("/files", headers=[(b"authorization", f"Bearer {key}".encode())])
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").files.list()


def test_no_route_is_open_without_a_key(http: httpx2.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    del http.headers["authorization"]
    asked = 0
    for path, methods in paths.items():
        for method in methods if path.startswith(("/v1/", "/api/", "/metrics")) else ():
            asked += 1
            assert http.request(method.upper(), path).status_code == 401, (method, path)
    assert asked >= 10
    assert http.get("/healthz").status_code == 200


def test_every_answer_has_an_id_of_its_own(http: httpx2.Client, client: openai.OpenAI) -> None:
    ids = {http.get(path).headers["x-request-id"] for path in ("/v1/files", "/v1/nothing", "/healthz")}
    assert len(ids) == 3
    with pytest.raises(openai.NotFoundError) as missing:
        client.files.retrieve("file-nothing")
    assert str(missing.value.request_id).startswith("req_")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/v1/nothing", 404, "unknown_url"), ("PUT", "/v1/files", 405, "method_not_allowed")],
)
def test_an_address_that_there_is_not_is_told_in_an_envelope(
    http: httpx2.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "[::1"},
        {"origin": "https://evil.example"},
        {"origin": "https://[evil"},
        {"sec-fetch-site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/files", "/healthz", "/openapi.json"])
def test_pages_of_other_sites_are_refused_everywhere(http: httpx2.Client, path: str, headers: dict[str, str]) -> None:
    answer = http.get(path, headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["type"] == "permission_error"


def test_the_description_of_the_api_has_every_route(http: httpx2.Client) -> None:
    description = http.get("/openapi.json").json()
    paths = description["paths"]
    assert {path: sorted(methods) for path, methods in paths.items()} == {
        "/api/audit": ["get"],
        "/api/check": ["post"],
        "/api/endpoints": ["get"],
        "/api/endpoints/{model}/load": ["post"],
        "/api/endpoints/{model}/unload": ["post"],
        "/api/files/{file_id}/study": ["post"],
        "/api/graders/probe": ["post"],
        "/api/jobs/{job_id}/evaluations": ["get"],
        "/api/jobs/{job_id}/findings": ["get"],
        "/api/jobs/{job_id}/marks": ["get", "put"],
        "/api/jobs/{job_id}/marks.jsonl": ["get"],
        "/api/jobs/{job_id}/marks/{mark_id}": ["delete"],
        "/api/jobs/{job_id}/metrics": ["get"],
        "/api/jobs/{job_id}/regrade": ["post"],
        "/api/jobs/{job_id}/rollouts": ["get"],
        "/api/jobs/{job_id}/rollouts/{step}": ["get"],
        "/api/jobs/{job_id}/rollouts/{step}/{group}": ["get"],
        "/api/jobs/{job_id}/stream": ["get"],
        "/api/machine": ["get"],
        "/api/resolve": ["post"],
        "/api/runs": ["get"],
        "/api/session": ["delete", "get"],
        "/api/trial": ["post"],
        "/healthz": ["get"],
        "/metrics": ["get"],
        "/readyz": ["get"],
        "/session": ["get", "post"],
        "/v1/chat/completions": ["post"],
        "/v1/completions": ["post"],
        "/v1/files": ["get", "post"],
        "/v1/files/{file_id}": ["delete", "get"],
        "/v1/files/{file_id}/content": ["get"],
        "/v1/fine_tuning/alpha/graders/run": ["post"],
        "/v1/fine_tuning/alpha/graders/validate": ["post"],
        "/v1/fine_tuning/jobs": ["get", "post"],
        "/v1/fine_tuning/jobs/{job_id}": ["get"],
        "/v1/fine_tuning/jobs/{job_id}/cancel": ["post"],
        "/v1/fine_tuning/jobs/{job_id}/checkpoints": ["get"],
        "/v1/fine_tuning/jobs/{job_id}/events": ["get"],
        "/v1/fine_tuning/jobs/{job_id}/pause": ["post"],
        "/v1/fine_tuning/jobs/{job_id}/resume": ["post"],
        "/v1/models": ["get"],
        "/v1/models/{model}": ["delete", "get"],
    }
    schemas = description["components"]["schemas"]
    assert {"model", "training_file", "method"} <= set(schemas["CreateJob"]["required"])
    references = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(description)))
    assert references <= schemas.keys()


def test_the_service_starts_without_torch() -> None:
    program = (
        "import sys, verifine.service.http.app as app; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
