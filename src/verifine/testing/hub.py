"""A Hugging Face hub on this machine, which fails where a test wants it to. It speaks what pulling a model needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from urllib.parse import parse_qs, urlsplit

from huggingface_hub import HfApi

from verifine.models.provision.hub import Hub
from verifine.testing.local_hub import HubHandler, listening_hub
from verifine.types import Json

_LARGE = ".safetensors"
"""Files that the hub keeps apart from git, and names by their sha256."""


@dataclass(slots=True, kw_only=True)
class HubRepository:
    """A model on the hub, at its newest commit."""

    files: dict[str, bytes]
    revision: str = "a" * 40
    licence: str = "apache-2.0"
    reader_token: str | None = None
    """It is gated, and only this token may read it; None: everybody may."""
    served: dict[str, bytes] = field(default_factory=dict)
    """What is sent in place of some files, which the hub still describes as they are."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that are told in place of some files' own."""

    @classmethod
    def of_folder(cls, folder: Path) -> HubRepository:
        """The files of a folder."""
        return cls(files={path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()})


def _set_event() -> Event:
    event = Event()
    event.set()
    return event


@dataclass(slots=True, kw_only=True)
class HubServer:
    """What a hub has, and how it fails."""

    repositories: dict[str, HubRepository]
    knows_ranges: bool = True
    cut_after: int | None = None
    """It sends so many bytes of weights, breaks the connection and has a fault from then on; None: it does not."""
    may_send_weights: Event = field(default_factory=_set_event)
    """While it is clear, weights are not sent."""
    requests: list[str] = field(default_factory=list)
    """The paths that were asked for, files with the byte that was asked for first, such as `model.safetensors 512`."""
    endpoint: str = ""

    def hub(self, token: str | None = None) -> Hub:
        """The hub, as our code asks it."""
        return Hub(api=HfApi(endpoint=self.endpoint, token=False), token=token, is_offline=False)

    def fetched(self, name: str) -> list[int]:
        """The first bytes that were asked for of a file, in order."""
        return [int(each.split()[1]) for each in self.requests if each.startswith(f"{name} ")]


@contextmanager
def serve_hub(repositories: Mapping[str, HubRepository]) -> Iterator[HubServer]:
    """Runs a hub on a free port. Inside the context, the hub's client sends requests even if HF_HUB_OFFLINE is set."""
    server = HubServer(repositories=dict(repositories))
    with listening_hub(_handler_of(server)) as server.endpoint:
        try:
            yield server
        finally:
            server.may_send_weights.set()


def _handler_of(server: HubServer) -> type[HubHandler]:
    class Handler(HubHandler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server asks for
            _answer(self, server)

        do_HEAD = do_GET  # noqa: N815 - likewise

    return Handler


def _answer(request: BaseHTTPRequestHandler, server: HubServer) -> None:
    url = urlsplit(request.path)
    if url.path == "/api/models":
        owner = parse_qs(url.query)["author"][0]
        _send_json(request, [{"id": name} for name in server.repositories if name.startswith(f"{owner}/")])
        return
    api = re.fullmatch(r"/api/models/([^/]+/[^/]+)(/auth-check|/revision/(.+))?", url.path)
    file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", url.path)
    found = api or file
    repository = None if found is None else server.repositories.get(found[1])
    if found is None or repository is None:
        _refuse(request, 404, "RepoNotFound")
    elif (file or found[2] == "/auth-check") and not _may_read(request, repository):
        _refuse(request, 403, "GatedRepo")
    elif api and api[3] not in (None, "main", repository.revision):
        _refuse(request, 404, "RevisionNotFound")
    elif file:
        _send_file(request, server, repository, file[3])
    else:
        server.requests.append(url.path)
        _send_json(request, {} if found[2] == "/auth-check" else _describe_repository(found[1], repository))


def _may_read(request: BaseHTTPRequestHandler, repository: HubRepository) -> bool:
    token = repository.reader_token
    return token is None or request.headers.get("authorization") == f"Bearer {token}"


def _describe_repository(name: str, repository: HubRepository) -> Json:
    siblings: list[Json] = []
    for file, content in repository.files.items():
        size = repository.sizes.get(file, len(content))
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        sibling: dict[str, Json] = {"rfilename": file, "size": size, "blobId": blob}
        if file.endswith(_LARGE):
            sibling["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
        siblings.append(sibling)
    return {
        "id": name,
        "sha": repository.revision,
        "gated": False if repository.reader_token is None else "manual",
        "cardData": {"license": repository.licence},
        "siblings": siblings,
    }


def _send_file(request: BaseHTTPRequestHandler, server: HubServer, repository: HubRepository, name: str) -> None:
    if name not in repository.files:
        _refuse(request, 404, "EntryNotFound")
        return
    content = repository.served.get(name, repository.files[name])
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
    start = int(asked[1]) if asked and server.knows_ranges else 0
    server.requests.append(f"{name} {start}")
    left = server.cut_after if name.endswith(_LARGE) else None
    if left is not None and left < 0:
        _refuse(request, 500, "Broken")
        return
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(content) - start))
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.end_headers()
    if name.endswith(_LARGE):
        server.may_send_weights.wait()
    part = content[start:] if left is None else content[start : start + left]
    request.wfile.write(part)
    if left is not None and len(part) < len(content) - start:
        server.cut_after = -1
        request.close_connection = True


def _send_json(request: BaseHTTPRequestHandler, content: Json) -> None:
    body = json.dumps(content).encode()
    request.send_response(200)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def _refuse(request: BaseHTTPRequestHandler, status: int, code: str) -> None:
    request.send_response(status)
    request.send_header("X-Error-Code", code)
    request.send_header("Content-Length", "0")
    request.end_headers()
