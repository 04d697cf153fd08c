"""Ten secrets that a service knows or is told, and that are nowhere afterwards."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from verifine.testing import save_tiny_model
from verifine.testing.serve_command import ENDED, ServeCommand

VARIABLES = {
    "OPENAI_API_KEY": "sk-planted-1-aaaaaaaaaaaaaaaa",
    "HF_TOKEN": "hf_planted2aaaaaaaaaaaaaaaaaaa",
    "WANDB_API_KEY": "planted-3-aaaaaaaaaaaaaaaaaaaa",
}
TOKEN = "planted-4-token-in-an-address"
MISTYPED = "vf_local_planted-5-mistyped-secret"
ELSEWHERE = "planted-6-in-another-header"
PASSWORD = "planted-7-in-a-grader"
LEAKY = """
import os

def grade(sample, item):
    print(dict(os.environ))
    if item.get("number", 0) % 2:
        raise RuntimeError(str(dict(os.environ)))
    return len(sample["output_text"]) % 3 / 2
"""


@pytest.mark.slow
def test_no_planted_secret_is_written_or_told(tmp_path: Path) -> None:
    data, errors = tmp_path / "data", tmp_path / "errors.txt"
    alice, revoked = (make_key(data) for _ in range(2))
    revoke = [sys.executable, "-m", "verifine", "keys", "revoke", revoked.split("_")[1], "--data", str(data)]
    subprocess.run(revoke, check=True, capture_output=True)
    model = save_tiny_model(tmp_path / "tiny")
    service = ServeCommand.start(data, {"tiny": model}, variables=VARIABLES, errors=errors)
    try:
        local = str(service.client.headers["authorization"]).removeprefix("Bearer ")
        told, session = ask_everything(service, alice, revoked)
        job_id = service.create_job("tiny", 2, grader=LEAKY)
        service.until(lambda: service.job(job_id)["status"] in ENDED)
        assert service.job(job_id)["status"] == "succeeded"
        told += [str(service.events(job_id)), service.client.get("/files").text]
        told.append(str(httpx2.get(root(service, "/metrics"), headers=bearer(local), trust_env=False).text))
        service.process.send_signal(signal.SIGTERM)
        told.append(service.process.communicate()[0])
    finally:
        service.client.close()
        service.process.kill()
    secrets = [*VARIABLES.values(), TOKEN, MISTYPED, ELSEWHERE, PASSWORD, alice, revoked, local, session]
    assert len(set(secrets)) >= 10
    assert (data / "key").read_text().strip() == local
    texts = {path: path.read_bytes() for path in (*written(data), errors)}
    assert any(path.name.startswith("service.db") for path in texts)
    assert any(path.name == "events.jsonl" for path in texts)
    texts |= {Path(f"answer {number}"): text.encode() for number, text in enumerate(told)}
    for secret in secrets:
        bare = secret.removeprefix("vf_").partition("_")[2] if secret.startswith("vf_") else secret
        assert [str(path) for path, text in texts.items() if bare.encode() in text] == []


def ask_everything(service: ServeCommand, alice: str, revoked: str) -> tuple[list[str], str]:
    """What was answered to requests with secrets in them, most of them wrong; and the cookie of a session."""
    grader: dict[str, Any] = {"type": "endpoint", "name": "e", "url": f"https://me:{PASSWORD}@192.0.2.1/"}
    asked = {"grader": grader, "model_sample": "4"}
    with httpx2.Client(base_url=root(service, ""), timeout=60) as http:
        signed_in = http.post("/session", json={"key": alice})
        session = signed_in.cookies["verifine_session"]
        answers = [
            signed_in,
            http.get("/api/session"),
            http.get("/session", params={"token": TOKEN}),
            http.get("/v1/files", headers=bearer(MISTYPED)),
            http.get("/v1/files", headers=bearer(revoked)),
            http.get("/v1/files", headers={"authorization": f"Basic {alice}"}),
            http.get("/v1/files", headers={"x-api-key": ELSEWHERE, **bearer(alice)}),
            http.get("/v1/files", headers={"idempotency-key": ELSEWHERE, "origin": "https://evil.example"}),
            http.post("/session", json={"key": MISTYPED}),
            http.post("/v1/fine_tuning/alpha/graders/run", json=asked, headers=bearer(alice)),
            http.get("/api/machine", headers=bearer(alice)),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 403, 401, 401, 401, 200, 403, 401, 400, 200]
    return [answer.text for answer in answers], session


def make_key(data: Path) -> str:
    command = [sys.executable, "-m", "verifine", "keys", "create", "--owner", "alice", "--data", str(data)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def root(service: ServeCommand, path: str) -> str:
    return str(service.client.base_url).rstrip("/").removesuffix("/v1") + path


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def written(data: Path) -> Iterator[Path]:
    """All files but the one that is there to hold the key."""
    return (path for path in data.rglob("*") if path.is_file() and path != data / "key")
