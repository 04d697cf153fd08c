"""A server that belongs to another one, and gets adapters while it runs."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from tests.serving.conftest import LIMITS
from transformers import PreTrainedTokenizerFast

from verifine.errors import ModelError
from verifine.models.load import LanguageModel
from verifine.serving import ServedModel
from verifine.serving.owner import ServerOwner
from verifine.testing.servers import running_server

TOKEN = "secret"
ASK = {"messages": [{"role": "user", "content": "Hi"}], "seed": 1, "max_tokens": 8, "logit_bias": {"2": -100}}


@pytest.fixture
def http(model: LanguageModel, served: ServedModel) -> Iterator[httpx2.Client]:
    """Another name for the same model plays an adapter."""

    def load(name: str, source: str) -> ServedModel:
        if source == "broken":
            raise ModelError(f"{name} is broken")
        return ServedModel.of(name, model, LIMITS, created=1)

    with running_server(served, limits=LIMITS, owner=ServerOwner(token=TOKEN, load_adapter=load)) as server:
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx2.Client(base_url=server.url, headers=headers, timeout=60) as client:
            yield client


def ask(http: httpx2.Client, model: str) -> httpx2.Response:
    return http.post("/v1/chat/completions", json={**ASK, "model": model})


def text(answer: httpx2.Response) -> str:
    return str(answer.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("token", ["", "secre", "secrets", "\xff"])
def test_nobody_is_answered_without_the_token(http: httpx2.Client, token: str) -> None:
    for path in ("/v1/models", "/healthz", "/metrics", "/nothing"):
        refused = http.get(path, headers=[(b"authorization", f"Bearer {token}".strip().encode("latin-1"))])
        assert refused.status_code == 403
        assert refused.json()["error"]["code"] == "insufficient_permissions"


def test_requests_keep_the_ids_that_their_owner_gave_them(http: httpx2.Client) -> None:
    assert http.get("/v1/models", headers={"x-request-id": "req_1"}).headers["x-request-id"] == "req_1"
    assert http.get("/v1/models").headers["x-request-id"].startswith("req_")


def test_adapters_come_and_go_while_the_server_runs(http: httpx2.Client) -> None:
    assert ask(http, "ft:a:b").status_code == 404
    assert http.put("/adapters/ft:a:b", json={"source": "x"}).status_code == 204
    assert [each["id"] for each in http.get("/v1/models").json()["data"]] == ["tiny", "ft:a:b"]
    assert text(ask(http, "ft:a:b")) == text(ask(http, "tiny"))
    assert http.put("/adapters/ft:a:b", json={"source": "y"}).status_code == 204
    assert text(ask(http, "ft:a:b")) == text(ask(http, "tiny"))
    for _ in range(2):
        assert http.delete("/adapters/ft:a:b").status_code == 204
    assert ask(http, "ft:a:b").status_code == 404
    assert ask(http, "tiny").status_code == 200


def test_an_adapter_that_is_removed_ends_its_answers(http: httpx2.Client) -> None:
    http.put("/adapters/other", json={"source": "x"})
    has_begun = threading.Event()
    lines: list[str] = []

    def read() -> None:
        body = {**ASK, "model": "other", "max_tokens": 100, "stream": True}
        with http.stream("POST", "/v1/chat/completions", json=body) as response:
            for line in response.iter_lines():
                lines.append(line)
                has_begun.set()

    reading = threading.Thread(target=read)
    reading.start()
    assert has_begun.wait(60)
    http.delete("/adapters/other")
    reading.join()
    last = [line for line in lines if line][-1]
    assert "other was removed" in last or last == "data: [DONE]"  # it may have been written before
    assert ask(http, "tiny").status_code == 200


class PausingTokenizer(PreTrainedTokenizerFast):  # type: ignore[misc]
    """Says that it is asked, and waits until it may answer."""

    is_asked = threading.Event()
    may_answer = threading.Event()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.is_asked.set()
        assert self.may_answer.wait(60)
        return super().__call__(*args, **kwargs)


def test_an_adapter_that_is_removed_while_a_request_is_read_is_unknown(model: LanguageModel) -> None:
    pausing = copy.deepcopy(model.tokenizer)
    pausing.__class__ = PausingTokenizer
    served = replace(ServedModel.of("other", model, LIMITS, created=1), renderer=pausing)
    owner = ServerOwner(token=TOKEN, load_adapter=lambda _, __: served)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with (
        running_server(served, limits=LIMITS, owner=owner) as server,
        httpx2.Client(base_url=server.url, headers=headers, timeout=60) as http,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(ask, http, "other")
        assert PausingTokenizer.is_asked.wait(60)
        assert http.delete("/adapters/other").status_code == 204
        PausingTokenizer.may_answer.set()
        refused = answer.result()
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("body", [b"{", b"{}", b'{"source": 1}', b'{"source": "x", "more": 1}'])
def test_an_order_that_is_wrong_is_refused(http: httpx2.Client, body: bytes) -> None:
    assert http.put("/adapters/other", content=body).status_code == 400


def test_an_adapter_that_cannot_be_loaded_is_told(http: httpx2.Client) -> None:
    refused = http.put("/adapters/other", json={"source": "broken"})
    assert refused.status_code == 500
    assert refused.json()["error"]["message"] == "other is broken"
    assert ask(http, "other").status_code == 404
