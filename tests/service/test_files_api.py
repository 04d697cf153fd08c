"""OpenAI's files, with its own client where that can ask, and with plain HTTP where it cannot."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from verifine.service.http.app import ServiceParts
from verifine.testing.clock import ManualClock

LINE = b'{"messages": [{"role": "user", "content": "2 + 2?"}], "answer": "4"}\n'
OCTETS = ("data.jsonl", LINE, "application/octet-stream")


def upload(client: openai.OpenAI, content: bytes = LINE, name: str = "data.jsonl") -> openai.types.FileObject:
    return client.files.create(file=(name, content), purpose="fine-tune")


def post(http: httpx2.Client, parts: Any, **options: Any) -> tuple[int, str | None, str | None]:
    """Status, param and code."""
    answer = http.post("/v1/files", files=parts, **options)
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["code"]


def test_a_file_comes_back_as_it_was_sent(client: openai.OpenAI, clock: ManualClock, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_bytes(LINE * 100)
    for content in (path, ("train.jsonl", path.read_bytes()), ("train.jsonl", io.BytesIO(path.read_bytes()))):
        file = client.files.create(file=content, purpose="fine-tune")
        assert (file.object, file.status, file.filename) == ("file", "processed", "train.jsonl")
        assert (file.bytes, file.created_at, file.expires_at) == (100 * len(LINE), int(clock.time), None)
        assert client.files.retrieve(file.id) == file
        assert client.files.content(file.id).read() == path.read_bytes()
        assert client.files.wait_for_processing(file.id) == file


def test_every_answer_passes_the_client_s_strict_validation(client: openai.OpenAI) -> None:
    strict = openai.OpenAI(
        base_url=client.base_url, api_key=client.api_key, max_retries=0, _strict_response_validation=True
    )
    with strict:
        file = upload(strict)
        assert strict.files.retrieve(file.id) == file
        assert [each.id for each in strict.files.list()] == [file.id]
        assert strict.files.delete(file.id).deleted


def test_an_async_client_reads_the_same(client: openai.OpenAI) -> None:
    import asyncio

    async def run() -> None:
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key=client.api_key) as asynchronous:
            file = await asynchronous.files.create(file=("a.jsonl", LINE), purpose="fine-tune")
            assert [each.id async for each in asynchronous.files.list(limit=1)] == [file.id]
            assert (await asynchronous.files.content(file.id)).content == LINE

    asyncio.run(run())


def test_pages_give_every_file_once_in_both_orders(client: openai.OpenAI) -> None:
    made = [upload(client).id for _ in range(5)]
    notes = client.files.create(file=("notes.txt", b"x"), purpose="user_data").id
    assert [file.id for file in client.files.list(limit=1)] == [notes, *made[::-1]]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == [*made, notes]
    assert [file.id for file in client.files.list(purpose="user_data")] == [notes]
    page = client.files.list(limit=2)
    assert (page.first_id, page.last_id, page.has_more) == (notes, made[-1], True)  # type: ignore[attr-defined]


def test_a_list_of_nothing_is_a_list(http: httpx2.Client) -> None:
    assert http.get("/v1/files").json() == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_deleted_file_is_gone(client: openai.OpenAI) -> None:
    file = upload(client)
    assert client.files.delete(file.id).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as missing:
            call(file.id)
        assert missing.value.code == "file_not_found"


def test_a_file_that_is_to_expire_does(client: openai.OpenAI, clock: ManualClock) -> None:
    file = client.files.create(
        file=("a.jsonl", LINE), purpose="fine-tune", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert file.expires_at == int(clock.time) + 3600
    clock.advance(3600)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_file_of_too_many_bytes_is_refused_and_leaves_nothing(
    client: openai.OpenAI, parts: ServiceParts, tmp_path: Path
) -> None:
    largest = parts.limits.file_bytes
    assert upload(client, b"x" * largest).bytes == largest
    before = sorted((tmp_path / "files").rglob("*"))
    for size in (largest + 1, 40 * largest):
        with pytest.raises(openai.APIStatusError) as refusal:
            upload(client, b"x" * size)
        assert (refusal.value.status_code, refusal.value.code) == (413, "file_too_large")
    assert sorted((tmp_path / "files").rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.jsonl", "passwd.jsonl"),
        ("C:\\data\\a.jsonl", "a.jsonl"),
        ("Größe 你好.jsonl", "Größe 你好.jsonl"),
        ('a"b;c.jsonl', 'a"b;c.jsonl'),
        ("x" * 300 + ".jsonl", ("x" * 300 + ".jsonl")[-255:]),
    ],
)
def test_a_name_is_only_a_name(client: openai.OpenAI, name: str, shown: str) -> None:
    file = upload(client, name=name)
    assert file.filename == shown
    assert client.files.content(file.id).read() == LINE


@pytest.mark.parametrize(
    ("form", "param", "code"),
    [
        ({"purpose": (None, "fine-tune")}, "file", "missing_required_parameter"),
        ({"file": OCTETS}, "purpose", "missing_required_parameter"),
        ({"file": OCTETS, "purpose": (None, "training")}, "purpose", "invalid_value"),
        ({"file": OCTETS, "purpose": (None, "fine-tune-results")}, "purpose", "invalid_value"),
        ({"file": OCTETS, "purpose": (None, "fine-tune"), "Purpose": (None, "x")}, "Purpose", "unknown_parameter"),
        ({"file": ("data.txt", LINE), "purpose": (None, "fine-tune")}, "file", "invalid_file"),
        ({"file": ("data.jsonl", b""), "purpose": (None, "fine-tune")}, "file", "invalid_file"),
        ({"file": OCTETS, "purpose": (None, "x" * 2000)}, "purpose", "invalid_value"),
        ([("file", OCTETS), ("file", OCTETS), ("purpose", (None, "fine-tune"))], "file", "invalid_value"),
        ({f"field{n}": (None, "x") for n in range(40)}, None, "invalid_form"),
    ],
)
def test_a_bad_form_is_told_by_the_name_of_its_part(
    http: httpx2.Client, form: Any, param: str | None, code: str, tmp_path: Path
) -> None:
    assert post(http, form) == (400, param, code)
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("anchor", "seconds", "param"),
    [
        ("created_at", "3599", "expires_after[seconds]"),
        ("created_at", "2592001", "expires_after[seconds]"),
        ("created_at", "1e5", "expires_after[seconds]"),
        ("created_at", "9" * 30, "expires_after[seconds]"),
        ("created_at", None, "expires_after[seconds]"),
        ("last_active_at", "3600", "expires_after[anchor]"),
        (None, "3600", "expires_after[anchor]"),
    ],
)
def test_a_time_that_cannot_be_meant_is_refused(
    http: httpx2.Client, anchor: str | None, seconds: str | None, param: str
) -> None:
    form: dict[str, Any] = {"file": OCTETS, "purpose": (None, "fine-tune")}
    for name, value in (("anchor", anchor), ("seconds", seconds)):
        if value is not None:
            form[f"expires_after[{name}]"] = (None, value)
    assert post(http, form) == (400, param, "invalid_value")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"no form at all"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nhalf'),
        ("multipart/form-data; boundary=" + "x" * 5000, b"--x"),
    ],
)
def test_a_body_that_is_no_form_is_refused(http: httpx2.Client, kind: str, body: bytes, tmp_path: Path) -> None:
    answer = http.post("/v1/files", content=body, headers={"content-type": kind})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=no", "after"),
    ],
)
def test_a_bad_query_is_refused(http: httpx2.Client, query: str, param: str) -> None:
    answer = http.get(f"/v1/files?{query}")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_content_is_never_shown_as_a_page(http: httpx2.Client, client: openai.OpenAI) -> None:
    file = client.files.create(file=("page.html", b"<script>"), purpose="user_data")
    headers = http.get(f"/v1/files/{file.id}/content").headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment")
