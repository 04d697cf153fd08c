"""Who asks: the owner of the key that a request has."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from verifine.machine.disk import LOCAL_DISK, Disk, refuse_failure
from verifine.service.database.owners import LOCAL
from verifine.wire.api_error import invalid_request

_OWNER = "verifine.owner"


def local_key(path: Path, disk: Disk = LOCAL_DISK) -> str:
    """The key of the local owner, which `path` holds for its user alone; it is made if there is none.

    Raises:
        DiskError: it cannot be read or written.
    """
    with refuse_failure(path):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}.tmp")
            draft.touch(mode=0o600)
            draft.write_text(f"vf_{LOCAL}_{secrets.token_urlsafe(32)}\n", encoding="ascii")
            disk.rename(draft, path)
        return path.read_text(encoding="ascii").strip()


KEYED = ("/v1/", "/api/", "/metrics")
"""A request needs a key where its path begins so."""


class KeyCheck:
    """Refuses requests without the key, and tells the routes whose it is."""

    def __init__(self, app: ASGIApp, key_sha256: bytes) -> None:
        self._app, self._key_sha256 = app, key_sha256

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(KEYED):
            scheme, _, key = Headers(scope=scope).get("authorization", "").partition(" ")
            # As bytes of a fixed length, so that the time says nothing about the key.
            if scheme.lower() != "bearer" or not hmac.compare_digest(hash_key(key.strip()), self._key_sha256):
                message = "the API key is missing or unknown; send it as `Authorization: Bearer KEY`"
                raise invalid_request(message, code="invalid_api_key", status=401)
            scope[_OWNER] = LOCAL
        await self._app(scope, receive, send)


def hash_key(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", errors="surrogateescape")).digest()


def _current_owner(request: Request) -> str:
    return str(request.scope[_OWNER])


OwnerId = Annotated[str, Depends(_current_owner)]
"""The owner who asks."""
