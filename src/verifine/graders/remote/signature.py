"""Signing requests by the Standard Webhooks specification (version 1, HMAC-SHA256)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from verifine.errors import GraderError
from verifine.graders.remote.message import HttpRequest

PREFIX = "whsec_"
MIN_SECRET_BYTES = 24
"""What the specification asks for."""


class Signer:
    """Holds a secret, and never shows it."""

    def __init__(self, secret: str) -> None:
        """GraderError if `secret` is not `whsec_` and the base64 of enough bytes; the message does not show it."""
        try:
            self._key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            self._key = b""
        if not secret.startswith(PREFIX) or len(self._key) < MIN_SECRET_BYTES:
            raise GraderError(
                f"must be {PREFIX} and then base64 of at least {MIN_SECRET_BYTES} random bytes; make one with "
                f'echo "{PREFIX}$(head -c 32 /dev/urandom | base64)"'
            )

    def headers(self, request: HttpRequest, now: float) -> dict[str, str]:
        """The three headers of a request sent at `now`, in seconds since 1970; receivers refuse old ones."""
        timestamp = str(int(now))
        signed = b".".join((request.id.encode(), timestamp.encode(), request.body))
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return {
            "webhook-id": request.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
