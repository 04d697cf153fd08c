"""Asking services on other machines: many requests at once, with retries; a failure is a value, not an exception."""

from __future__ import annotations

from verifine.graders.remote.address import check_address
from verifine.graders.remote.client import RemoteClient, Service
from verifine.graders.remote.clock import Clock
from verifine.graders.remote.message import HttpFailure, HttpFailureKind, HttpReply, HttpRequest
from verifine.graders.remote.recent import Recent
from verifine.graders.remote.secret import read_secret
from verifine.graders.remote.shared import Lease, SharedClients
from verifine.graders.remote.signature import Signer

__all__ = [
    "Clock",
    "HttpFailure",
    "HttpFailureKind",
    "HttpReply",
    "HttpRequest",
    "Lease",
    "Recent",
    "RemoteClient",
    "Service",
    "SharedClients",
    "Signer",
    "check_address",
    "read_secret",
]
