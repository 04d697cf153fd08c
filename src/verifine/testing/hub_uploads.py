"""A Hugging Face hub on this machine that takes what is pushed, and refuses or breaks where a test wants it to."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import yaml
from huggingface_hub import HfApi

from verifine.insights.card.licences import LICENCES
from verifine.launch.export.push import PushPlace
from verifine.models.provision.hub import Hub
from verifine.testing.local_hub import HubHandler, listening_hub

_LARGE = frozenset({".safetensors", ".gguf", ".png"})
"""Files that go to a storage of their own."""


@dataclass(slots=True, kw_only=True)
class PushedRepository:
    """A repository as its last commit left it."""

    is_private: bool
    files: dict[str, bytes] = field(default_factory=lambda: {".gitattributes": b""})
    commits: list[str] = field(default_factory=list)
    """Their messages."""


@dataclass(slots=True, kw_only=True)
class UploadServer:
    """What the hub has, and whom it lets do what."""

    writers: dict[str, str]
    """Tokens and the owner whose repositories each may write."""
    readers: frozenset[str] = frozenset()
    """Tokens that are known and may write nothing."""
    repositories: dict[str, PushedRepository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    """The large files that have arrived, by their sha256."""
    storage_breaks_after: int | None = None
    """The storage takes so many large files, and no more; None: it takes all."""
    refuses_commits: bool = False
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    def place(self, repository: str, token: str | None, *, is_public: bool = False, updates: bool = False) -> PushPlace:
        """The repository, as our code names it."""
        return PushPlace(
            repository=repository,
            is_public=is_public,
            updates=updates,
            hub=Hub(api=HfApi(endpoint=self.endpoint, token=False), token=token, is_offline=False),
        )


@contextmanager
def serve_uploads(writers: dict[str, str]) -> Iterator[UploadServer]:
    """Runs a hub on a free port. Inside the context, the hub's client sends requests even if HF_HUB_OFFLINE is set."""
    server = UploadServer(writers=writers)
    with listening_hub(_handler_of(server)) as server.endpoint:
        yield server


class _RefusedError(Exception):
    def __init__(self, status: int, message: str, code: str = "", url: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.url = status, message, code, url


def _handler_of(server: UploadServer) -> type[HubHandler]:
    class Handler(HubHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            path = self.path.partition("?")[0]
            server.requests.append(f"{self.command} {path}")
            try:
                self._send(200, _answer(server, f"{self.command} {path}", body, self.headers.get("authorization", "")))
            except _RefusedError as refusal:
                self._send(refusal.status, {"error": refusal.message, "url": refusal.url}, refusal)

        do_POST = do_PUT = do_GET  # noqa: N815 - the names that http.server asks for

        def _send(self, status: int, content: object, refusal: _RefusedError | None = None) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if refusal is not None:
                self.send_header("X-Error-Message", refusal.message)
                self.send_header("X-Error-Code", refusal.code)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _answer(server: UploadServer, request: str, body: bytes, authorization: str) -> object:
    stored = re.fullmatch(r"PUT /storage/(\w+)/(\w+)", request)
    if stored:
        return _store(server, stored[1], stored[2], body)
    if request == "POST /storage/verify":
        return {}
    token = authorization.removeprefix("Bearer ")
    if token not in server.writers and token not in server.readers:
        raise _RefusedError(401, "Invalid credentials in Authorization header")
    if request == "POST /api/repos/create":
        return _create(server, json.loads(body), token)
    if request == "POST /api/validate-yaml":
        return _validate(json.loads(body)["content"])
    found = re.fullmatch(r"(?:GET|POST) /(?:api/models/)?([^/]+/[^/]+?)(\.git/info/lfs/objects/batch|/.*|)", request)
    if found is None or found[1] not in server.repositories:
        raise _RefusedError(404, "Repository not found", code="RepoNotFound")
    return _answer_for(server, token, found[1], found[2], body)


def _answer_for(server: UploadServer, token: str, name: str, wish: str, body: bytes) -> object:
    """What the hub says about one repository."""
    repository = server.repositories[name]
    match wish:
        case "":
            siblings = [{"rfilename": name} for name in repository.files]
            return {"id": name, "sha": "a" * 40, "private": repository.is_private, "siblings": siblings}
        case "/tree/main":
            return [
                {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
                for path, content in repository.files.items()
            ]
        case "/preupload/main":
            files = json.loads(body)["files"]
            return {"files": [_upload_mode(each["path"]) for each in files]}
        case ".git/info/lfs/objects/batch":
            return {"objects": [_upload_action(server, each) for each in json.loads(body)["objects"]]}
        case "/commit/main":
            _check_writer(server, name, token)
            return _commit(server, name, repository, [json.loads(line) for line in body.splitlines()])
    raise _RefusedError(404, f"nothing at {name}{wish}")


def _create(server: UploadServer, wish: dict[str, Any], token: str) -> object:
    name = f"{wish['organization']}/{wish['name']}"
    _check_writer(server, name, token)
    url = f"{server.endpoint}/{name}"
    if name in server.repositories:
        raise _RefusedError(409, "You already created this model repo", url=url)
    server.repositories[name] = PushedRepository(
        is_private=wish.get("visibility") == "private" or bool(wish.get("private"))
    )
    return {"url": url}


def _check_writer(server: UploadServer, name: str, token: str) -> None:
    if server.writers.get(token) != name.partition("/")[0]:
        raise _RefusedError(403, "you don't have the rights to write to this namespace")


def _validate(content: str) -> object:
    metadata = yaml.safe_load(content.split("---\n", 2)[1])
    if metadata.get("license", "mit") not in LICENCES:
        raise _RefusedError(400, '"license" must be one of those of the hub')
    return {}


def _upload_mode(path: str) -> dict[str, object]:
    mode = "lfs" if PurePosixPath(path).suffix in _LARGE else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False}


def _upload_action(server: UploadServer, wanted: dict[str, Any]) -> dict[str, Any]:
    if wanted["oid"] in server.stored:
        return wanted
    upload = {"href": f"{server.endpoint}/storage/{wanted['oid']}/{wanted['size']}"}
    return {**wanted, "actions": {"upload": upload, "verify": {"href": f"{server.endpoint}/storage/verify"}}}


def _store(server: UploadServer, oid: str, size: str, body: bytes) -> object:
    if server.storage_breaks_after is not None and len(server.stored) >= server.storage_breaks_after:
        raise _RefusedError(400, "the storage has lost it")
    assert len(body) == int(size)
    assert hashlib.sha256(body).hexdigest() == oid
    server.stored[oid] = body
    return {}


def _commit(
    server: UploadServer, name: str, repository: PushedRepository, lines: list[dict[str, Any]]
) -> dict[str, str]:
    if server.refuses_commits:
        raise _RefusedError(500, "Internal Error")
    files = dict(repository.files)
    for line in lines:
        value = line["value"]
        match line["key"]:
            case "header":
                repository.commits.append(value["summary"])
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "lfsFile":
                files[value["path"]] = server.stored[value["oid"]]
            case "deletedFile":
                del files[value["path"]]
    repository.files = files
    return {"commitUrl": f"{server.endpoint}/{name}/commit/{'b' * 40}", "commitOid": "b" * 40}
